//! The OpenAPI 3.1 document, generated from the routes.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Ref,
    RefOr, Response as ResponseDoc, ResponseBuilder, SecurityRequirement,
};
use utoipa::{IntoResponses, PartialSchema, ToSchema};

use super::problem::{self, Problem, ProblemBody, Stored, Violation};
use super::state::App;

const BEARER: &str = "bearer";

/// The document without routes: title, licence, the token and the schemas of problems.
pub(crate) fn base() -> OpenApi {
    let info = InfoBuilder::new()
        .title("chatgauge")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Telemetry and usage analytics for AI chat. Instants are RFC 3339, ranges half-open \
             `[start, end)`, durations `_ms`, rates percent of all requests. Unknown query parameters \
             are refused. Problems are RFC 9457 `application/problem+json`.",
        ))
        .license(Some(LicenseBuilder::new().name("MIT OR Apache-2.0").build()))
        .build();
    let token = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(
            "The admin token, or a key `cg_<id>_<secret>` with one of the scopes ingest, read, \
             metrics, admin.",
        ))
        .build();
    let components = ComponentsBuilder::new()
        .security_scheme(BEARER, SecurityScheme::Http(token))
        .schema("Problem", ProblemBody::schema())
        .schema("Violation", Violation::schema())
        .schema(Stored::name(), Stored::schema())
        .build();
    OpenApiBuilder::new()
        .info(info)
        .components(Some(components))
        .security(Some([SecurityRequirement::new(BEARER, Vec::<String>::new())]))
        .build()
}

/// The OpenAPI document of these routes
#[utoipa::path(
    get,
    path = "/api/openapi.json",
    tag = "status",
    responses((status = 200, description = "OpenAPI 3.1.", content_type = "application/json")),
    security(()),
)]
pub(crate) async fn openapi(State(app): State<App>) -> Result<Response, Problem> {
    let document = app.openapi.get().cloned();
    let document = document.ok_or_else(|| Problem::internal("the document was not generated"))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], document).into_response())
}

fn problems(list: &[(&str, &str)]) -> BTreeMap<String, RefOr<ResponseDoc>> {
    let describe = |(status, description): &(&str, &str)| {
        let content = ContentBuilder::new()
            .schema(Some(RefOr::Ref(Ref::from_schema_name("Problem"))))
            .build();
        let response = ResponseBuilder::new()
            .description(*description)
            .content(problem::MEDIA_TYPE, content)
            .build();
        ((*status).to_owned(), RefOr::T(response))
    };
    list.iter().map(describe).collect()
}

macro_rules! documented_problems {
    ($($(#[$doc:meta])* $name:ident = $list:expr;)+) => {
        $(
            $(#[$doc])*
            pub(crate) struct $name;

            impl IntoResponses for $name {
                fn responses() -> BTreeMap<String, RefOr<ResponseDoc>> {
                    problems(&$list)
                }
            }
        )+
    };
}

const BAD_TOKEN: (&str, &str) = ("401", "No token, or an invalid one.");
const RATE_LIMITED: (&str, &str) =
    ("429", "Too many requests; `Retry-After` says when to come back.");
const BUSY: (&str, &str) =
    ("503", "Too busy, too slow or shutting down; `Retry-After` says when to come back.");

documented_problems! {
    /// Problems of a route that reads nothing but its parameters.
    QueryProblems = [("400", "A parameter is unknown.")];
    /// The problem of a server that is not ready.
    NotReadyProblems = [("503", "Not now; the detail says why.")];
    /// The problem of a body with an unknown name.
    UnknownNameProblems = [("422", "A name in the body is unknown; the detail says which there are.")];
    /// The problem of a read of one thing.
    NotFoundProblems = [("404", "There is nothing of this name that the key may see.")];
    /// Problems of a read.
    ReadProblems = [
        ("400", "A parameter is unknown or not acceptable."),
        BAD_TOKEN,
        ("403", "The key lacks the scope, or is bound to other spaces."),
        RATE_LIMITED,
        BUSY,
    ];
    /// Problems of a login.
    SessionProblems = [
        ("400", "The body is not acceptable."),
        ("401", "The token is not the admin token."),
        ("403", "The request comes from another site."),
        ("408", "The body stopped arriving."),
        ("413", "The body is over 64 KiB."),
        ("429", "Too many bad tokens; `Retry-After` says when to come back."),
    ];
    /// Problems of an administrative request.
    AdminProblems = [
        ("400", "A parameter or field is unknown or not acceptable."),
        BAD_TOKEN,
        ("403", "The key lacks the scope admin."),
        ("404", "There is no such thing."),
        ("408", "The body stopped arriving."),
        ("409", "The current state does not allow this."),
        ("413", "The body is over 64 KiB."),
        RATE_LIMITED,
        BUSY,
    ];
    /// Problems of a batch of records as a whole.
    IngestProblems = [
        ("400", "The body cannot be read; `stored`, when present, counts the records stored before that."),
        BAD_TOKEN,
        ("403", "The key lacks the scope ingest."),
        ("408", "The body stopped arriving."),
        ("413", "The body is too large, as sent or decompressed."),
        ("415", "The content type or encoding is not supported."),
        RATE_LIMITED,
        ("503", "The queue or the disk is full, or the server is shutting down; nothing of the records \
                 that `stored` does not count was stored: send again."),
    ];
}
