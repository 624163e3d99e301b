//! Arguments of handlers other than parameters and bodies.

use axum::extract::{FromRequestParts, Path as AxumPath};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::auth::Principal;
use super::problem::{Problem, ProblemKind};

impl<S: Sync> FromRequestParts<S> for Principal {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let principal = parts.extensions.get::<Self>().cloned();
        principal.ok_or_else(|| Problem::internal("a route that needs a principal has no gate"))
    }
}

/// Admits only principals that may see all spaces: for results that cannot be narrowed.
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
        let path = AxumPath::from_request_parts(parts, state).await;
        path.map(|AxumPath(value)| Self(value))
            .map_err(|rejection| Problem::new(ProblemKind::InvalidQuery, rejection.body_text()))
    }
}
