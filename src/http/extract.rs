//! Arguments of handlers that are neither parameters nor bodies.

use axum::extract::{FromRequestParts, Path as AxumPath};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::auth::Principal;
use super::problem::{Kind, Problem};

impl<S: Sync> FromRequestParts<S> for Principal {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let principal = parts.extensions.get::<Self>().cloned();
        principal.ok_or_else(|| Problem::internal("a route that needs a principal has no gate"))
    }
}

/// Who is asking, when that one may see all spaces: for results that cannot be narrowed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AllSpaces;

impl<S: Sync> FromRequestParts<S> for AllSpaces {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Principal::from_request_parts(parts, state).await?.require_all_spaces().map(|()| Self)
    }
}

/// A part of the path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match AxumPath::from_request_parts(parts, state).await {
            Ok(AxumPath(value)) => Ok(Self(value)),
            Err(rejection) => Err(Problem::new(Kind::InvalidQuery, rejection.body_text())),
        }
    }
}
