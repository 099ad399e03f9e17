//! From paths to the operator.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::HttpBody;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{Method as HttpMethod, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Extension, Json, Router};
use firewall_control::{
    Caller, Counters, Endpoint, Event, EventQuery, FlowQuery, Flows, MAXIMUM_BODY, NodeQuery,
    NodeReport, Nodes, OPENAPI, ReasonRequest, ReloadReport, ResumeRequest, Status, StopReport,
    StopRequest, check_reason,
};
use hyper::body::{Bytes, Frame};
use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;

use super::connections::{Activity, Busy};
use super::extract::{Body, Name, NoBody, Question};
use super::gate::{Gate, Peer};
use super::{Failure, Operator};

/// Questions in work at once; commands do not count.
const READERS: usize = 16;
/// Until a question must have its turn.
const TURN: Duration = Duration::from_secs(2);
/// Event streams at once.
const STREAMS: usize = 64;

pub(crate) fn router<O: Operator>(operator: Arc<O>, gate: Gate) -> Router {
    let desk = Desk {
        operator,
        gate,
        readers: Arc::new(Semaphore::new(READERS)),
        streams: Arc::new(Semaphore::new(STREAMS)),
    };
    let paths = Endpoint::ALL.iter().fold(Router::new(), |router, endpoint| {
        router.route(endpoint.path(), handler::<O>(*endpoint))
    });
    paths
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method)
        .layer(DefaultBodyLimit::max(MAXIMUM_BODY))
        .layer(from_fn_with_state(desk.clone(), guard))
        .with_state(desk)
}

/// Where requests meet the operator.
struct Desk<O> {
    operator: Arc<O>,
    gate: Gate,
    readers: Arc<Semaphore>,
    streams: Arc<Semaphore>,
}

impl<O> Clone for Desk<O> {
    fn clone(&self) -> Self {
        let Self { operator, gate, readers, streams } = self;
        Self {
            operator: Arc::clone(operator),
            gate: *gate,
            readers: Arc::clone(readers),
            streams: Arc::clone(streams),
        }
    }
}

fn handler<O: Operator>(endpoint: Endpoint) -> MethodRouter<Desk<O>> {
    match endpoint {
        Endpoint::Status => get(status),
        Endpoint::Counters => get(counters),
        Endpoint::Flows => get(flows),
        Endpoint::Nodes => get(nodes),
        Endpoint::Events => get(events),
        Endpoint::OpenApi => get(openapi),
        Endpoint::StopAll => post(stop),
        Endpoint::Resume => post(resume),
        Endpoint::Reload => post(reload),
        Endpoint::Isolate => post(isolate),
        Endpoint::Release => post(release),
    }
}

/// Nothing is answered, not even what there is, before the caller may ask.
async fn guard<O: Operator>(
    State(desk): State<Desk<O>>,
    Extension(peer): Extension<Peer>,
    Extension(activity): Extension<Activity>,
    mut request: Request,
    next: Next,
) -> Response {
    let _busy = activity.begin();
    let (caller, may) = desk.gate.judge(peer).await;
    if !may {
        desk.operator.denied(caller.clone());
        return Failure::Forbidden { caller }.into_response();
    }
    request.extensions_mut().insert(caller);
    next.run(request).await
}

impl<O: Operator> Desk<O> {
    async fn turn(&self) -> Result<OwnedSemaphorePermit, Failure> {
        match timeout(TURN, Arc::clone(&self.readers).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(Failure::Busy),
        }
    }
}

/// A command runs to its end, even if the caller hangs up in the middle.
async fn finish<T: Send + 'static>(
    command: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<Json<T>, Failure> {
    tokio::spawn(command).await.map_err(Failure::internal)?.map(Json)
}

async fn status<O: Operator>(State(desk): State<Desk<O>>) -> Result<Json<Status>, Failure> {
    let _turn = desk.turn().await?;
    desk.operator.status().await.map(Json)
}

async fn counters<O: Operator>(State(desk): State<Desk<O>>) -> Result<Json<Counters>, Failure> {
    let _turn = desk.turn().await?;
    desk.operator.counters().await.map(Json)
}

async fn flows<O: Operator>(
    State(desk): State<Desk<O>>,
    Question(query): Question<FlowQuery>,
) -> Result<Json<Flows>, Failure> {
    let _turn = desk.turn().await?;
    desk.operator.flows(query).await.map(Json)
}

async fn nodes<O: Operator>(
    State(desk): State<Desk<O>>,
    Question(query): Question<NodeQuery>,
) -> Result<Json<Nodes>, Failure> {
    let _turn = desk.turn().await?;
    desk.operator.nodes(query).await.map(Json)
}

async fn events<O: Operator>(
    State(desk): State<Desk<O>>,
    Extension(activity): Extension<Activity>,
    Question(EventQuery { since, follow }): Question<EventQuery>,
) -> Result<Response, Failure> {
    let since = since.map(|text| parse(&text)).transpose()?;
    let place = Arc::clone(&desk.streams).try_acquire_owned().map_err(|_| Failure::Busy)?;
    let events = desk.operator.events(since, follow).await?;
    let lines = Lines { events, _busy: activity.begin(), _place: place };
    let kind = [(header::CONTENT_TYPE, "application/jsonl")];
    Ok((kind, axum::body::Body::new(lines)).into_response())
}

fn parse(text: &str) -> Result<Timestamp, Failure> {
    text.parse().map_err(|_| Failure::BadRequest {
        sentence: "since is not an instant like 2026-01-31T12:00:00Z (in a query, + is %2B)"
            .to_owned(),
    })
}

async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

async fn stop<O: Operator>(
    State(Desk { operator, .. }): State<Desk<O>>,
    Extension(caller): Extension<Caller>,
    Body(request): Body<StopRequest>,
) -> Result<Json<StopReport>, Failure> {
    check_reason(&request.reason)?;
    finish(async move { operator.stop(caller, request).await }).await
}

async fn resume<O: Operator>(
    State(Desk { operator, .. }): State<Desk<O>>,
    Extension(caller): Extension<Caller>,
    Body(request): Body<ResumeRequest>,
) -> Result<Json<StopReport>, Failure> {
    check_reason(&request.reason)?;
    finish(async move { operator.resume(caller, request).await }).await
}

async fn reload<O: Operator>(
    State(Desk { operator, .. }): State<Desk<O>>,
    Extension(caller): Extension<Caller>,
    NoBody: NoBody,
) -> Result<Json<ReloadReport>, Failure> {
    finish(async move { operator.reload(caller).await }).await
}

async fn isolate<O: Operator>(
    State(Desk { operator, .. }): State<Desk<O>>,
    Extension(caller): Extension<Caller>,
    Name(node): Name,
    Body(request): Body<ReasonRequest>,
) -> Result<Json<NodeReport>, Failure> {
    check_reason(&request.reason)?;
    finish(async move { operator.isolate(caller, node, request).await }).await
}

async fn release<O: Operator>(
    State(Desk { operator, .. }): State<Desk<O>>,
    Extension(caller): Extension<Caller>,
    Name(node): Name,
    Body(request): Body<ReasonRequest>,
) -> Result<Json<NodeReport>, Failure> {
    check_reason(&request.reason)?;
    finish(async move { operator.release(caller, node, request).await }).await
}

async fn unknown_path(uri: Uri) -> Failure {
    Failure::UnknownPath { path: uri.path().to_owned() }
}

async fn unknown_method(method: HttpMethod, uri: Uri) -> Failure {
    Failure::Method { path: uri.path().to_owned(), method: method.to_string() }
}

/// Events as JSON lines, for as long as they come.
struct Lines {
    events: mpsc::Receiver<Event>,
    _busy: Busy,
    _place: OwnedSemaphorePermit,
}

impl HttpBody for Lines {
    type Data = Bytes;
    type Error = serde_json::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, serde_json::Error>>> {
        Poll::Ready(ready!(self.events.poll_recv(context)).map(|event| {
            let mut line = serde_json::to_vec(&event)?;
            line.push(b'\n');
            Ok(Frame::data(line.into()))
        }))
    }
}
