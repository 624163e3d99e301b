//! The OpenAPI 3.1 document, from the code of the routes.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Ref,
    RefOr, Response as ResponseDoc, ResponseBuilder, SecurityRequirement,
};
use utoipa::{IntoResponses, PartialSchema, ToSchema};

use super::frame::json_bytes;
use super::problem::{self, Problem, ProblemBody, Stored, Violation};
use super::state::App;

const BEARER: &str = "bearer";

/// The document without routes: title, licence, the token, and how problems look.
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
    operation_id = "openapi",
    tag = "status",
    responses((status = 200, description = "OpenAPI 3.1.", content_type = "application/json")),
    security(()),
)]
pub(crate) async fn document(State(app): State<App>) -> Result<Response, Problem> {
    let document = app.openapi().get().cloned();
    document.map(json_bytes).ok_or_else(|| Problem::internal("the document was not made"))
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

documented_problems! {
    /// What can go wrong with a route that looks at nothing but its parameters.
    QueryProblems = [("400", "A parameter is unknown.")];
    /// What a server that is not ready says.
    NotReadyProblems = [("503", "Not now; the detail says why.")];
    /// What is wrong with a body that names what is not there.
    UnknownNameProblems = [("422", "A name in the body is unknown; the detail says which there are.")];
    /// What can go wrong with a question.
    ReadProblems = [
        ("400", "A parameter is unknown or not acceptable."),
        ("401", "No token, or one that is not good."),
        ("403", "The key lacks the scope, or is bound to other spaces."),
        ("429", "Too many requests; `Retry-After` says when to come back."),
        ("503", "Too busy, too slow or shutting down; `Retry-After` says when to come back."),
    ];
    /// What can go wrong with a question about one thing.
    FindProblems = [
        ("400", "A parameter is unknown or not acceptable."),
        ("401", "No token, or one that is not good."),
        ("403", "The key lacks the scope, or is bound to other spaces."),
        ("404", "There is nothing of this name that the key may see."),
        ("429", "Too many requests; `Retry-After` says when to come back."),
        ("503", "Too busy, too slow or shutting down; `Retry-After` says when to come back."),
    ];
    /// What can go wrong with logging in.
    SessionProblems = [
        ("400", "The body is not acceptable."),
        ("401", "The token is not the admin token."),
        ("403", "The request comes from another site."),
        ("413", "The body is over 64 KiB."),
        ("429", "Too many bad tokens; `Retry-After` says when to come back."),
    ];
    /// What can go wrong with an administrative request.
    AdminProblems = [
        ("400", "A parameter or field is unknown or not acceptable."),
        ("401", "No token, or one that is not good."),
        ("403", "The key lacks the scope admin."),
        ("404", "There is no such thing."),
        ("409", "It is too late for this."),
        ("413", "The body is over 64 KiB."),
        ("429", "Too many requests; `Retry-After` says when to come back."),
        ("503", "Too busy, too slow or shutting down; `Retry-After` says when to come back."),
    ];
    /// What can go wrong with a batch of records as a whole.
    IngestProblems = [
        ("400", "The body cannot be read; `stored`, when present, says what was stored before that."),
        ("401", "No token, or one that is not good."),
        ("403", "The key lacks the scope ingest."),
        ("408", "The body stopped arriving."),
        ("413", "The body is too large, as sent or decompressed."),
        ("415", "The content type or encoding is not supported."),
        ("429", "Too many requests; `Retry-After` says when to come back."),
        ("503", "The queue or the disk is full, or the server is shutting down; nothing of the records \
                 that `stored` does not count was stored: send again."),
    ];
}
