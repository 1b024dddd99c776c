//! What changes something is carried to its end, also if whoever asked goes away.
//!
//! The future of a request ends with its connection, and the change that it asked for does
//! not. So nobody could say what came of it: neither who writes it down, nor who answers
//! the same request again.

use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http::StatusCode;

use super::{access::is_reading, problem::Problem};

pub(super) async fn to_the_end(request: Request, next: Next) -> Response {
    if is_reading(request.method(), request.uri().path()) {
        return next.run(request).await;
    }
    let doing = tokio::spawn(next.run(request));
    doing.await.unwrap_or_else(|_| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "A bug")
            .detail("the log says more")
            .into_response()
    })
}
