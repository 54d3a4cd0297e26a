//! `POST /api/upload`: a form with `file`, `pin` and `wrap_with_directory`.
//!
//! The content streams into `add`, so the fields have to come before it: they decide what is done with it.

use bytes::Bytes;
use futures::FutureExt;
use http_body_util::BodyExt;
use hyper::{Request, Response};

use super::refusal::{Refusal, settled};
use super::result::{self, Caller};
use crate::client::escape;
use crate::methods::ROOT;
use crate::server::ROOT_PATH;
use crate::server::body::RequestBody;
use crate::server::call::boundary;
use crate::server::form::{Event, Form};
use crate::server::parse::{self, Call};
use crate::server::reply::ReplyBody;
use crate::server::route::Answer;
use crate::server::service::Service;
use crate::server::upload::{Parts, discard, field};

/// Where files are uploaded.
pub const UPLOAD: &str = "/api/upload";

/// The fields, and the options of `add` that they are.
const FIELDS: [(&str, &str); 2] = [
    ("pin", "pin"),
    ("wrap_with_directory", "wrap-with-directory"),
];
/// Longest value of a field, in bytes.
const VALUE_MAX: usize = 64;
/// Fields at most.
const FIELDS_MAX: usize = 16;

/// Takes an upload.
pub fn upload(service: Service, request: Request<RequestBody>) -> Answer {
    async move { settled(answer(&service, request).await) }.boxed()
}

async fn answer(
    service: &Service,
    request: Request<RequestBody>,
) -> Result<Response<ReplyBody>, Refusal> {
    let boundary = boundary(request.headers());
    let boundary = boundary.ok_or_else(|| {
        Refusal::bad("an upload is a form: multipart/form-data with a part named file")
    })?;
    let mut caller = Caller::of(&request);
    let mut query = request.uri().query().unwrap_or_default().to_owned();
    let mut body = request.into_body();
    let limit = service.limits().body;
    caller.slow = !body.begin(service.limits().pressed()).await;
    let begun = tokio::time::timeout(limit, begin(&mut body, Form::new(&boundary))).await;
    let late = || Refusal::bad("the first file of the form did not come in time");
    let begun = begun.map_err(|_| late()).and_then(|begun| begun);
    let begun = begun.and_then(|begun| {
        for (name, value) in &begun.fields {
            query.push_str(&format!("&{name}={}", escape(value)));
        }
        Ok((call(&query)?, begun))
    });
    let (call, Begun { form, events, .. }) = match begun {
        Ok(begun) => begun,
        Err(refusal) => {
            tokio::spawn(discard(body));
            return Err(refusal);
        }
    };
    let parts = Parts::rest(body, form, events);
    Ok(result::of(service, call, caller, Some(parts)).await)
}

fn call(query: &str) -> Result<Call, Refusal> {
    let path = format!("{}/add", ROOT_PATH);
    let named = |pair: &str| {
        let (name, value) = pair.split_at(pair.find('=').unwrap_or(pair.len()));
        let field = FIELDS.iter().find(|(field, _)| *field == name);
        field.map_or_else(|| pair.to_owned(), |(_, option)| format!("{option}{value}"))
    };
    let query: Vec<String> = query
        .split('&')
        .filter(|pair| !pair.starts_with("enc"))
        .map(named)
        .collect();
    parse::parse(&ROOT, &path, &query.join("&"), true).map_err(|refusal| match refusal {
        parse::Refusal::Bad(text) => Refusal::bad(text),
        parse::Refusal::NotFound => Refusal::bad("there is no such method"),
    })
}

/// A form up to its first file.
struct Begun {
    form: Form,
    fields: Vec<(&'static str, Vec<u8>)>,
    /// From the head of the first file on.
    events: Vec<Event>,
}

/// Reads the fields before the first file.
async fn begin(body: &mut RequestBody, mut form: Form) -> Result<Begun, Refusal> {
    let mut fields: Vec<(&'static str, Vec<u8>)> = Vec::new();
    loop {
        let frame = body.frame().await;
        let none = || Refusal::bad("file argument 'file' is required");
        let frame = frame.ok_or_else(none)?;
        let frame = frame.map_err(|error| Refusal::bad(error.to_string()))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        let mut events = Vec::new();
        let pushed = form.push(data, &mut |event| events.push(event));
        let mut events = events.into_iter();
        while let Some(event) = events.next() {
            match event {
                Event::Part(head) => match field(&head) {
                    Some(name) if name != "file" => fields.push((known(&name)?, Vec::new())),
                    _ => {
                        let events = std::iter::once(Event::Part(head)).chain(events).collect();
                        return Ok(Begun {
                            form,
                            fields,
                            events,
                        });
                    }
                },
                Event::Data(data) => value(&mut fields, &data)?,
            }
        }
        pushed.map_err(|error| Refusal::bad(error.to_string()))?;
        if fields.len() > FIELDS_MAX {
            return Err(Refusal::bad("the form has too many fields"));
        }
    }
}

/// The option that a field is.
fn known(name: &str) -> Result<&'static str, Refusal> {
    let found = FIELDS.iter().find(|(field, _)| *field == name);
    found.map(|(_, option)| *option).ok_or_else(|| {
        Refusal::bad(format!(
            "the form has a field {name:?}: it takes pin, wrap_with_directory and then file"
        ))
    })
}

fn value(fields: &mut [(&'static str, Vec<u8>)], data: &Bytes) -> Result<(), Refusal> {
    let Some((name, value)) = fields.last_mut() else {
        return Ok(());
    };
    if value.len() + data.len() > VALUE_MAX {
        return Err(Refusal::bad(format!("the field {name:?} is true or false")));
    }
    value.extend_from_slice(data);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Value;

    #[test]
    fn fields_are_options_of_add() {
        let call = call("pin=false&wrap-with-directory=True&encoding=xml").unwrap();
        assert_eq!(call.request.name(), "add");
        let options = &call.request.options;
        assert_eq!(options["pin"], Value::Bool(false));
        assert_eq!(options["wrap-with-directory"], Value::Bool(true));
        assert_eq!(call.request.common.encoding, crate::output::Encoding::Json);
        assert!(super::call("pin=maybe").is_err());
        assert!(known("pin").is_ok() && known("other").is_err());
    }
}
