//! Spans of requests for a collector of OpenTelemetry, where the environment names one.
//!
//! Off unless `OTEL_TRACES_EXPORTER` is `otlp`, as in Kubo; then `OTEL_EXPORTER_OTLP_ENDPOINT` says where the
//! collector is, and the other variables of OpenTelemetry's SDK count too. Spans wait in a bounded queue for a
//! thread of their own; what has no room is dropped, so that a collector that is slow or gone costs nothing else.

mod collector;

use std::env;
use std::sync::OnceLock;
use std::time::Duration;

use hyper::header::HeaderMap;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{Span as _, SpanKind, Status, Tracer as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span};
use tokio::runtime::Handle;

use crate::failure::Failure;
use crate::methods::version::VERSION;
use crate::request::Request;
use collector::Collector;

/// Which exporters there are.
const EXPORTER: &str = "OTEL_TRACES_EXPORTER";
/// Turns everything of OpenTelemetry off.
const DISABLED: &str = "OTEL_SDK_DISABLED";
/// How spans are sent; that for traces alone counts more.
const PROTOCOLS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
];
/// What this node is called.
const NAME: &str = "OTEL_SERVICE_NAME";

/// How long the last spans may take when the node ends.
const LAST: Duration = Duration::from_secs(1);

/// Makes spans, once there is a collector.
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// Why spans cannot be sent as the environment says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoTraces {
    /// An exporter that is not known.
    #[error("{EXPORTER}: {0:?} is not known: use otlp or none")]
    Exporter(String),
    /// A protocol that is not spoken.
    #[error("{0}: {1:?} is not spoken: use http/protobuf")]
    Protocol(&'static str, String),
    /// An address or another value that makes no sense.
    #[error("traces cannot be sent: {0}")]
    Settings(String),
}

/// The sending of spans. Ended with [`Traces::stop`].
#[derive(Debug)]
pub struct Traces(SdkTracerProvider);

/// Starts sending, if the environment asks for it; connections are made on `runtime`.
///
/// # Errors
/// [`NoTraces`].
pub fn start(runtime: &Handle) -> Result<Option<Traces>, NoTraces> {
    let variable = |name: &str| env::var(name).ok().filter(|text| !text.is_empty());
    if !wanted(variable)? {
        return Ok(None);
    }
    let failed = |error: &dyn std::fmt::Display| NoTraces::Settings(error.to_string());
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_http_client(Collector::new(runtime.clone()))
        .build()
        .map_err(|error| failed(&error))?;
    let mut resource =
        Resource::builder().with_attribute(KeyValue::new("service.version", VERSION));
    if variable(NAME).is_none() {
        resource = resource.with_service_name("ipfs-kit");
    }
    let provider = SdkTracerProvider::builder()
        .with_resource(resource.build())
        .with_batch_exporter(exporter)
        .build();
    // A second start in a process keeps the first tracer.
    let _ = TRACER.set(provider.tracer("ipfs-kit"));
    Ok(Some(Traces(provider)))
}

/// Whether the environment asks for spans to be sent.
fn wanted(variable: impl Fn(&str) -> Option<String>) -> Result<bool, NoTraces> {
    if variable(DISABLED).is_some_and(|text| text.eq_ignore_ascii_case("true")) {
        return Ok(false);
    }
    let mut wanted = false;
    for name in variable(EXPORTER).unwrap_or_default().split(',') {
        match name.trim() {
            "" | "none" => {}
            "otlp" => wanted = true,
            other => return Err(NoTraces::Exporter(other.to_owned())),
        }
    }
    let protocol = PROTOCOLS
        .into_iter()
        .find_map(|name| Some((name, variable(name)?)));
    match protocol {
        Some((name, text)) if wanted && text != "http/protobuf" => {
            Err(NoTraces::Protocol(name, text))
        }
        _ => Ok(wanted),
    }
}

impl Traces {
    /// Sends what is left, within limits. It blocks.
    pub fn stop(self) {
        // A collector that is gone has been told of in the log.
        let _ = self.0.shutdown_with_timeout(LAST);
    }
}

/// Whether spans are sent.
pub fn are_sent() -> bool {
    TRACER.get().is_some()
}

/// The span of the client that sent these headers, if anybody wants to know.
pub fn parent(headers: &HeaderMap) -> Option<Context> {
    TRACER.get()?;
    let headers = HeaderExtractor(headers);
    Some(TraceContextPropagator::new().extract_with_context(&Context::new(), &headers))
}

/// The span of a command that runs for a client.
#[derive(Debug)]
pub struct Trace(Span);

impl Trace {
    /// A command begins, below the client's span; nothing where nobody wants to know.
    pub fn begin(request: &Request, parent: Option<&Context>, id: Option<&str>) -> Option<Trace> {
        let tracer = TRACER.get()?;
        let command = request.name();
        let mut attributes = vec![
            KeyValue::new("rpc.system.name", "ipfs"),
            KeyValue::new("rpc.method", command.clone()),
        ];
        if let Some(id) = id {
            attributes.push(KeyValue::new("request_id", id.to_owned()));
        }
        let builder = tracer
            .span_builder(command)
            .with_kind(SpanKind::Server)
            .with_attributes(attributes);
        let root = Context::new();
        Some(Trace(
            builder.start_with_context(tracer, parent.unwrap_or(&root)),
        ))
    }

    /// The command has ended.
    pub fn end(mut self, end: &Result<(), Failure>) {
        match end {
            Ok(()) | Err(Failure::Reported) => self.0.set_status(Status::Ok),
            Err(failure) => self.0.set_status(Status::error(failure.to_string())),
        }
        self.0.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_sent_when_the_environment_says_so() {
        let asked = |variables: &'static [(&str, &str)]| {
            wanted(|name| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, text)| (*text).to_owned())
            })
        };
        assert_eq!(asked(&[]), Ok(false));
        assert_eq!(
            asked(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")]),
            Ok(false)
        );
        assert_eq!(asked(&[(EXPORTER, "none")]), Ok(false));
        assert_eq!(asked(&[(EXPORTER, "none, otlp")]), Ok(true));
        assert_eq!(asked(&[(EXPORTER, "otlp"), (DISABLED, "TRUE")]), Ok(false));
        let unknown = Err(NoTraces::Exporter("zipkin".to_owned()));
        assert_eq!(asked(&[(EXPORTER, "otlp,zipkin")]), unknown);
        let grpc = [(EXPORTER, "otlp"), (PROTOCOLS[1], "grpc")];
        assert!(matches!(
            wanted(|name| grpc
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, text)| (*text).to_owned())),
            Err(NoTraces::Protocol(..))
        ));
    }

    #[test]
    fn without_a_collector_there_are_no_spans() {
        assert!(parent(&HeaderMap::new()).is_none());
        let request = Request {
            path: vec![&crate::methods::ROOT],
            options: crate::value::Values::new(),
            words: Vec::new(),
            common: crate::request::Common::default(),
        };
        assert!(Trace::begin(&request, None, None).is_none());
    }
}
