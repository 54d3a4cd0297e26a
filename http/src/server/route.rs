//! Which path is served by what: one line for each route of a port.
//!
//! A path that ends in `/` stands for everything below it. The longest that fits wins. Nothing is served
//! that is not in these tables, and every request for what is in them goes through the guard.

use futures::future::BoxFuture;
use hyper::{Method, Request, Response};

use super::body::RequestBody;
use super::guard::Face;
use super::reply::ReplyBody;
use super::service::Service;
use super::{pages, reads, seed};

/// One route.
#[derive(Debug)]
pub struct Route {
    /// Where it is.
    pub path: &'static str,
    /// How it is asked.
    pub methods: Methods,
    /// Whether anybody may ask who reaches the port, without a secret: for what says no more than that
    /// the node is there.
    pub open: bool,
    /// What serves it.
    pub serve: Serve,
}

/// How a route is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Methods {
    /// `POST`, as everything of Kubo's RPC: a page of another origin cannot cause it by a link.
    Post,
    /// `GET` and `HEAD`.
    Get,
    /// `POST`, and `GET` for methods that only read.
    PostOrRead,
    /// `GET`, `HEAD` and `POST`, for what changes nothing.
    GetOrPost,
}

/// What serves a route.
#[derive(Debug, Clone, Copy)]
pub enum Serve {
    /// The table of methods.
    Methods,
    /// A page of the server itself.
    Page(Page),
}

/// A page: it gets the service and the request, which the guard let pass.
pub type Page = fn(Service, Request<RequestBody>) -> Answer;

/// What a page answers.
pub type Answer = BoxFuture<'static, Response<ReplyBody>>;

/// The port of the RPC.
const RPC: &[Route] = &[
    Route {
        path: "/api/v0/",
        methods: Methods::Post,
        open: false,
        serve: Serve::Methods,
    },
    Route {
        path: "/api/v1/",
        methods: Methods::Post,
        open: false,
        serve: Serve::Methods,
    },
    Route::page("/version", pages::version),
    Route::page("/api/methods", pages::methods),
    Route::page("/api/openapi.json", pages::openapi),
    Route::page("/metrics", pages::metrics),
    Route::page("/debug/metrics/prometheus", pages::metrics),
    Route::open("/health", pages::health),
    Route::open("/ready", pages::ready),
];

/// The port of `serve`.
const SEED: &[Route] = &[
    Route {
        path: "/api/v0/",
        methods: Methods::PostOrRead,
        open: false,
        serve: Serve::Methods,
    },
    Route {
        path: "/api/v1/",
        methods: Methods::PostOrRead,
        open: false,
        serve: Serve::Methods,
    },
    Route::content("/api/v0/cat"),
    Route::content("/api/v1/cat"),
    Route::cluster(seed::CLUSTER[0]),
    Route::cluster(seed::CLUSTER[1]),
    Route::change(seed::CALL, seed::call),
    Route::change(seed::UPLOAD, seed::upload),
    Route::page(seed::DOWNLOAD, seed::download),
    Route::page("/api/config", seed::config),
    Route::page("/api/methods", seed::methods),
    Route::page("/version", pages::version),
    Route::page("/metrics", pages::metrics),
    Route::page("/openapi.json", seed::openapi),
    Route::page(seed::DOCS, seed::docs),
    Route::page(seed::DOCS_FILES, seed::docs_files),
    Route::open("/health", seed::health),
    Route::open("/ready", pages::ready),
];

impl Route {
    /// A page that is read without a secret: it says no more than that the node is there.
    const fn open(path: &'static str, page: Page) -> Route {
        Route {
            open: true,
            ..Route::page(path, page)
        }
    }

    /// Content, whole or a part.
    const fn content(path: &'static str) -> Route {
        Route {
            methods: Methods::PostOrRead,
            ..Route::page(path, seed::cat)
        }
    }

    /// What is told about the cluster.
    const fn cluster(path: &'static str) -> Route {
        Route {
            methods: Methods::GetOrPost,
            ..Route::page(path, seed::cluster)
        }
    }

    /// A page that may change something.
    const fn change(path: &'static str, page: Page) -> Route {
        Route {
            methods: Methods::Post,
            ..Route::page(path, page)
        }
    }

    /// A page that is read.
    const fn page(path: &'static str, page: Page) -> Route {
        Route {
            path,
            methods: Methods::Get,
            open: false,
            serve: Serve::Page(page),
        }
    }
}

impl Methods {
    /// Whether the method is one of them, at this path.
    pub fn have(self, method: &Method, path: &str) -> bool {
        match self {
            Methods::PostOrRead => {
                method == Method::POST || method == Method::GET && reads::is_read(path)
            }
            Methods::Post => method == Method::POST,
            Methods::GetOrPost => Methods::Get.have(method, path) || method == Method::POST,
            Methods::Get => method == Method::GET || method == Method::HEAD,
        }
    }

    /// The value of `Allow`.
    pub fn allow(self) -> &'static str {
        match self {
            Methods::Post => "OPTIONS, POST",
            Methods::PostOrRead => "GET, OPTIONS, POST",
            Methods::Get => "GET, HEAD, OPTIONS",
            Methods::GetOrPost => "GET, HEAD, OPTIONS, POST",
        }
    }
}

/// The route of a path.
pub fn find(face: Face, path: &str) -> Option<&'static Route> {
    let table = match face {
        Face::Rpc => RPC,
        Face::Seed => SEED,
    };
    let fits = |route: &&Route| match route.path.strip_suffix('/') {
        Some(_) => path.starts_with(route.path),
        None => path == route.path,
    };
    let fitting = table.iter().filter(fits);
    fitting.max_by_key(|route| route.path.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_segments_lead_anywhere() {
        let found = |path| find(Face::Rpc, path).map(|route| route.path);
        assert_eq!(found("/api/v0/id"), Some("/api/v0/"));
        for none in [
            "",
            "/",
            "/api",
            "/api/v0",
            "/api/v0x/id",
            "//api/v0/id",
            "/API/v0/id",
        ] {
            assert_eq!(found(none), None, "{none}");
        }
    }

    #[test]
    fn the_document_of_a_port_has_all_its_routes() {
        let document = seed::document();
        let paths = document["paths"].as_object().unwrap();
        for route in SEED {
            // A path leads to the nearest route only.
            let told = paths
                .keys()
                .any(|path| find(Face::Seed, path).is_some_and(|found| found.path == route.path));
            let page = route.path.starts_with(seed::DOCS) || route.path == "/openapi.json";
            assert!(
                told || page || seed::CLUSTER.contains(&route.path),
                "{}",
                route.path
            );
        }
    }

    #[test]
    fn no_route_is_there_twice() {
        for table in [RPC, SEED] {
            let mut paths: Vec<&str> = table.iter().map(|route| route.path).collect();
            paths.sort_unstable();
            paths.dedup();
            assert_eq!(paths.len(), table.len());
        }
    }
}
