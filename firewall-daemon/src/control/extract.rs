//! Takes requests apart, and refuses in our own words.

use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use hyper::body::Bytes;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::Failure;

/// Until a request's body must be there.
const BODY: Duration = Duration::from_secs(10);

/// The JSON in a request's body, whatever its content type says.
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let bytes = read(request, state).await?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| Failure::BadRequest {
            sentence: format!("the request's body is not as expected: {error}"),
        })
    }
}

/// A request without a body, or with an empty object.
pub(crate) struct NoBody;

impl<S: Send + Sync> FromRequest<S> for NoBody {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let bytes = read(request, state).await?;
        if bytes.is_empty() || bytes.trim_ascii() == b"{}" {
            Ok(Self)
        } else {
            Err(Failure::BadRequest { sentence: "this request has no body".to_owned() })
        }
    }
}

/// The router's limit on bodies applies.
async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Failure> {
    match timeout(BODY, Bytes::from_request(request, state)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Err(Failure::TooLarge)
        }
        Ok(Err(rejection)) => Err(Failure::BadRequest { sentence: rejection.body_text() }),
        Err(_) => Err(Failure::Slow),
    }
}

/// The query, as one of our types.
pub(crate) struct Question<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Question<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(question)) => Ok(Self(question)),
            Err(rejection) => Err(Failure::BadRequest { sentence: rejection.body_text() }),
        }
    }
}

/// The `{name}` in the path.
pub(crate) struct Name(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let name: Result<Path<String>, PathRejection> =
            Path::from_request_parts(parts, state).await;
        match name {
            Ok(Path(name)) => Ok(Self(name)),
            Err(rejection) => Err(Failure::BadRequest { sentence: rejection.body_text() }),
        }
    }
}
