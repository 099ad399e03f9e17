//! The metrics page, for Prometheus and its kin.
//!
//! Whoever asks for OpenMetrics gets it; everybody else gets the older text format, which is what
//! `promtool check metrics` reads. Both say the same.

mod page;

use std::error::Error;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use firewall_control::{Counters, Status};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::config;

/// Scrapers at once; a connection is for one scrape.
const CONNECTIONS: usize = 64;
/// Until a scrape must be over.
const PATIENCE: Duration = Duration::from_secs(10);

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the page is made of.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// How the firewall stands.
    pub status: Status,
    /// What has been counted.
    pub counters: Counters,
}

/// Why a snapshot could not be taken.
pub type SnapshotError = Box<dyn Error + Send + Sync>;

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot serve metrics on {address}")]
pub struct ListenError {
    /// Where.
    pub address: SocketAddr,
    /// Why not.
    pub source: io::Error,
}

/// Opens the page's address.
///
/// # Errors
/// [`ListenError`], if the address is taken or not ours.
pub async fn listen(settings: &config::Metrics) -> Result<TcpListener, ListenError> {
    let config::Metrics { listen: address } = *settings;
    TcpListener::bind(address).await.map_err(|source| ListenError { address, source })
}

/// Serves the page until the future is dropped, with a fresh snapshot for every scrape.
pub async fn serve<F, R>(listener: TcpListener, snapshot: F)
where
    F: Fn() -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Result<Snapshot, SnapshotError>> + Send,
{
    let page = move |headers: HeaderMap| {
        let snapshot = snapshot();
        async move { answer(&headers, snapshot.await) }
    };
    let service = TowerToHyperService::new(Router::new().route("/metrics", get(page)));
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let service = service.clone();
                tokio::spawn(async move {
                    converse(stream, service).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection to the metrics page");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn converse(stream: TcpStream, service: TowerToHyperService<Router>) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // A scraper who breaks off, or does not come to the point, is no news.
    let _ = timeout(PATIENCE, connection).await;
}

fn answer(headers: &HeaderMap, snapshot: Result<Snapshot, SnapshotError>) -> Response {
    let text = match snapshot {
        Ok(snapshot) => openmetrics(snapshot).map_err(SnapshotError::from),
        Err(error) => Err(error),
    };
    match text {
        Ok(text) if wants_openmetrics(headers) => {
            ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response()
        }
        Ok(text) => ([(header::CONTENT_TYPE, TEXT)], prometheus(&text)).into_response(),
        Err(error) => {
            tracing::error!(%error, "cannot take a snapshot for the metrics page");
            let sentence = format!("the counters cannot be read: {error}\n");
            (StatusCode::SERVICE_UNAVAILABLE, sentence).into_response()
        }
    }
}

fn wants_openmetrics(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).into_iter();
    accepted
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains("application/openmetrics-text"))
}

/// The page in OpenMetrics 1.0.
///
/// # Errors
/// None that we know of: writing to a string does not fail.
pub fn openmetrics(snapshot: Snapshot) -> Result<String, std::fmt::Error> {
    page::encode(snapshot)
}

/// The same page in Prometheus' text format 0.0.4: a metric is described under the name that its
/// samples carry, and there are neither `info` nor `EOF`.
pub fn prometheus(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len());
    let mut help = "";
    for line in openmetrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ').map_or("", |(_, help)| help);
        } else if let Some((name, kind)) =
            line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                other => ("", other),
            };
            text += &format!("# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}\n");
        } else if !line.starts_with('#') {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests;
