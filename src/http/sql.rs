//! `/api/sql`: one read-only statement over the open schema, for administrators.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::openapi::schema::{Array, ArrayBuilder, ObjectBuilder, SchemaType, Type};
use utoipa::{IntoParams, ToSchema};

use super::auth::Principal;
use super::body::JsonBody;
use super::csv::{self, CsvTable};
use super::openapi::AdminProblems;
use super::params::{FormatParams, Query, route_params};
use super::problem::Problem;
use super::state::App;
use crate::csv_file::CsvNotes;
use crate::model::AuditAction;
use crate::model::measures::as_f64;
use crate::query::{SqlAnswer, SqlValue};

/// Maximum length of a statement in the audit trail, in bytes.
const AUDITED_BYTES: usize = 200;

route_params! {
    /// Statement and format of the result.
    SqlParams {
        statement: StatementParams,
        format: FormatParams,
    }
}

/// What to run.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct StatementParams {
    /// One read-only statement.
    #[param(min_length = 1)]
    sql: String,
}

/// A statement.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StatementBody {
    /// One read-only statement, such as `select * from usage_daily limit 10`.
    #[schema(min_length = 1)]
    sql: String,
}

/// Rows of a statement.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RowsBody {
    /// Names of the columns.
    columns: Vec<String>,
    /// The values of each row: null, number or text; bytes are hexadecimal text.
    #[schema(schema_with = rows_schema)]
    rows: Vec<Vec<SqlValue>>,
    /// There were more rows than the limits, `query.sql_max_rows` and 16 MiB, allow.
    truncated: bool,
    /// Duration of the statement.
    elapsed_ms: f64,
}

/// Rows of cells, each null, a number or text.
fn rows_schema() -> Array {
    let kinds = vec![Type::Null, Type::Number, Type::String];
    let cell = ObjectBuilder::new().schema_type(SchemaType::from_iter(kinds));
    ArrayBuilder::new().items(ArrayBuilder::new().items(cell)).build()
}

/// Run a statement given in the query string
#[utoipa::path(
    get,
    path = "/api/sql",
    tag = "admin",
    params(SqlParams),
    responses(
        (status = 200, description = "The rows; CSV that lacks some says so in its last row.",
         content((RowsBody = "application/json"), (String = "text/csv")),
         headers(("X-Chatgauge-Truncated" = String, description = "`true` when CSV lacks rows."))),
        AdminProblems,
    ),
)]
pub(crate) async fn sql_get(
    State(app): State<App>,
    principal: Principal,
    Query(params): Query<SqlParams>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    run(&app, &principal, params.statement.sql, params.format.csv(&headers)?).await
}

/// Run a statement given in the body
#[utoipa::path(
    post,
    path = "/api/sql",
    tag = "admin",
    params(FormatParams),
    request_body = StatementBody,
    responses(
        (status = 200, description = "The rows; CSV that lacks some says so in its last row.",
         content((RowsBody = "application/json"), (String = "text/csv")),
         headers(("X-Chatgauge-Truncated" = String, description = "`true` when CSV lacks rows."))),
        AdminProblems,
    ),
)]
pub(crate) async fn sql_post(
    State(app): State<App>,
    principal: Principal,
    Query(format): Query<FormatParams>,
    headers: HeaderMap,
    JsonBody(StatementBody { sql }): JsonBody<StatementBody>,
) -> Result<Response, Problem> {
    run(&app, &principal, sql, format.csv(&headers)?).await.map_err(Problem::of_body)
}

async fn run(
    app: &App,
    principal: &Principal,
    statement: String,
    csv: Option<CsvNotes>,
) -> Result<Response, Problem> {
    // A literal can name a user; the audit trail keeps only the shape of the statement.
    app.audit(&principal.actor, AuditAction::Sql, None, Some(&shape(&statement)));
    let result = app.statements.run(move |service| service.sql(&statement)).await?;
    let (columns, truncated) = (result.columns, result.truncated);
    if let Some(mut notes) = csv {
        notes.truncated = truncated.then(|| SqlAnswer::MORE_ROWS.to_owned());
        let row = |row: Vec<SqlValue>| row.iter().map(|value| json!(value)).collect();
        let table = CsvTable { columns, rows: result.rows.into_iter().map(row).collect() };
        return Ok(csv::response("sql", &table, &notes));
    }
    let elapsed_ms = as_f64(i64::try_from(result.elapsed_us).unwrap_or(i64::MAX)) / 1_000.0;
    Ok(Json(RowsBody { columns, rows: result.rows, truncated, elapsed_ms }).into_response())
}

/// The statement without the text between quotes, on one line, truncated to [`AUDITED_BYTES`].
fn shape(statement: &str) -> String {
    let mut shape = String::new();
    let mut quote = None;
    for c in statement.chars() {
        if shape.len() >= AUDITED_BYTES {
            break;
        }
        match quote {
            Some(open) if c == open => {
                shape.push_str("?'");
                quote = None;
            }
            Some(_) => {}
            None if c == '\'' || c == '"' => {
                shape.push('\'');
                quote = Some(c);
            }
            None if c.is_control() => shape.push(' '),
            None => shape.push(c),
        }
    }
    // The last character may have crossed the limit.
    shape.truncate(shape.floor_char_boundary(AUDITED_BYTES));
    shape
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trail_keeps_no_text_between_quotes() {
        let text = "select *\nfrom requests where user = 'alice@example.com' and n = \"bob\"";
        let expected = "select * from requests where user = '?' and n = '?'";
        assert_eq!(shape(text), expected);
        assert_eq!(shape("select 'it''s'"), "select '?''?'");
        assert_eq!(shape("select 'open"), "select '");
    }

    #[test]
    fn a_long_statement_is_truncated_between_characters() {
        assert_eq!(shape(&"x".repeat(1_000)), "x".repeat(AUDITED_BYTES));
        // 199 bytes and the first of two bytes of the next character.
        assert_eq!(shape(&format!("x{}", "é".repeat(1_000))), format!("x{}", "é".repeat(99)));
        assert_eq!(shape(&format!("{}''", "x".repeat(198))), format!("{}'?", "x".repeat(198)));
    }

    #[test]
    fn values_are_json_of_their_kind() {
        let row = vec![
            SqlValue::Null,
            SqlValue::Integer(i64::MAX),
            SqlValue::Real(0.5),
            SqlValue::Real(f64::INFINITY),
            SqlValue::Text("é".into()),
            SqlValue::Blob(vec![0, 0xff]),
        ];
        let text = serde_json::to_string(&row).unwrap();
        assert_eq!(text, r#"[null,9223372036854775807,0.5,null,"é","00ff"]"#);
    }
}
