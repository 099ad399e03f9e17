//! Server and client together, with an operator that does nothing.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use firewall_control::{
    Client, ClientError, Endpoint, ErrorBody, ErrorCode, EventKind, EventQuery, Method, Mode,
    NodeState, Policy, Stop, StopLevel,
};
use nix::unistd::{Group, getgid};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::*;
use crate::config;

/// Longer than anything here takes, shorter than every limit of the server.
const SOON: Duration = Duration::from_secs(3);

struct Fake;

impl Operator for Fake {
    async fn status(&self) -> Result<Status, Failure> {
        Ok(Status {
            version: "0.1.0".into(),
            started: "2026-01-31T12:00:00Z".into(),
            uptime_seconds: 60,
            mode: Mode::Bridge,
            stop: Stop::default(),
            policy: Policy {
                generation: 1,
                hash: "c0ffee".into(),
                armed: true,
                activated: None,
                nodes: 0,
                rules: 0,
            },
            ports: Vec::new(),
            subnetworks: Vec::new(),
            nodes: Vec::new(),
            sources: Vec::new(),
            flows: firewall_control::FlowTable::default(),
            health: Vec::new(),
        })
    }

    async fn counters(&self) -> Result<Counters, Failure> {
        Err(Failure::internal("the map is gone"))
    }

    async fn flows(&self, query: FlowQuery) -> Result<Flows, Failure> {
        match query.node {
            Some(name) => Err(Failure::UnknownNode { name }),
            None => Ok(Flows::default()),
        }
    }

    async fn nodes(&self, _: NodeQuery) -> Result<Nodes, Failure> {
        Ok(Nodes::default())
    }

    async fn events(
        &self,
        since: Option<Timestamp>,
        follow: bool,
    ) -> Result<mpsc::Receiver<Event>, Failure> {
        let (sender, receiver) = mpsc::channel(4);
        let time = since.unwrap_or(Timestamp::UNIX_EPOCH).to_string();
        tokio::spawn(async move {
            for sequence in 1..=2 {
                let event = Event::new(sequence, time.clone(), 0, EventKind::Start);
                sender.send(event).await.unwrap();
            }
            if follow {
                std::future::pending::<()>().await;
            }
        });
        Ok(receiver)
    }

    async fn reload(&self, _: Caller) -> Result<ReloadReport, Failure> {
        Err(Failure::InvalidPolicy { diagnostics: Vec::new() })
    }

    async fn stop(&self, caller: Caller, request: StopRequest) -> Result<StopReport, Failure> {
        assert_eq!(caller.pid, std::process::id());
        Ok(StopReport {
            subnetwork: request.subnetwork,
            latched: StopLevel::Ordinary,
            effective: StopLevel::Ordinary,
            since: None,
            took_microseconds: 1,
            message: String::new(),
        })
    }

    async fn resume(&self, _: Caller, _: ResumeRequest) -> Result<StopReport, Failure> {
        Err(Failure::Conflict { sentence: "nothing is stopped".into(), hint: None })
    }

    async fn isolate(
        &self,
        _: Caller,
        node: String,
        _: ReasonRequest,
    ) -> Result<NodeReport, Failure> {
        Ok(NodeReport {
            node,
            state: NodeState::Isolated,
            cut_flows: 0,
            took_microseconds: 1,
            message: String::new(),
        })
    }

    async fn release(
        &self,
        _: Caller,
        node: String,
        _: ReasonRequest,
    ) -> Result<NodeReport, Failure> {
        Err(Failure::UnknownNode { name: node })
    }
}

struct Bench {
    directory: TempDir,
    task: JoinHandle<()>,
}

fn settings(directory: &Path) -> config::Control {
    let group = Group::from_gid(getgid()).unwrap().unwrap().name;
    config::Control { socket: directory.join("control.sock"), group }
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = Listener::bind(&settings(directory.path())).unwrap();
        Self { directory, task: tokio::spawn(serve(listener, Arc::new(Fake))) }
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("control.sock")
    }

    fn client(&self) -> Client {
        Client::new(self.socket())
    }

    /// Status and body of the answer to a request as it goes over the wire.
    async fn raw(&self, request: &str) -> (u16, String) {
        let mut stream = UnixStream::connect(self.socket()).await.unwrap();
        converse(&mut stream, request).await
    }
}

async fn converse(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    request: &str,
) -> (u16, String) {
    // The server may answer and hang up before it has read everything.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = timeout(SOON, stream.read_to_end(&mut answer)).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

fn request(head: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{head} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

fn stop_request() -> StopRequest {
    StopRequest { subnetwork: None, hard: false, reason: "a drill".into() }
}

fn refusal(error: ClientError) -> (u16, ErrorBody) {
    match error {
        ClientError::Refused { status, body } => (status, *body),
        ClientError::Unreachable { .. } | ClientError::Protocol(_) => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn a_thousand_idle_connections_do_not_delay_a_stop_all() {
    let bench = Bench::new();
    let mut idle = Vec::new();
    while idle.len() < 1000 {
        match UnixStream::connect(bench.socket()).await {
            Ok(stream) => idle.push(stream),
            // The backlog is full: the server gets its turn.
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                tokio::task::yield_now().await;
            }
            Err(error) => panic!("{error}"),
        }
    }
    // Some of them have begun and do not come to an end.
    for stream in idle.iter_mut().take(500) {
        stream.write_all(b"POST /v1/stop-all HTTP/1.1\r\ncontent-length: 9\r\n").await.unwrap();
    }
    let begin = Instant::now();
    let report = bench.client().stop(&stop_request()).await.unwrap();
    assert_eq!(report.effective, StopLevel::Ordinary);
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn when_all_places_are_taken_a_stop_all_still_gets_one() {
    let connections = Arc::new(Connections::new(8));
    let server = Server::new(Arc::new(Fake), Gate::new(getgid()));
    let peer = Peer { uid: 0, gid: 0, pid: std::process::id() };
    let mut idle = Vec::new();
    for _ in 0..100 {
        let (near, far) = tokio::io::duplex(1024);
        tokio::spawn(server.clone().converse(far, peer, connections.admit(0)));
        idle.push(near);
    }
    let (mut near, far) = tokio::io::duplex(1024);
    tokio::spawn(server.clone().converse(far, peer, connections.admit(0)));
    let body = r#"{"reason": "a drill"}"#;
    assert_eq!(converse(&mut near, &request("POST /v1/stop-all", body)).await.0, 200);
}

#[tokio::test]
async fn a_caller_without_rights_gets_no_answer_but_403() {
    let connections = Arc::new(Connections::new(8));
    let server = Server::new(Arc::new(Fake), Gate::new(getgid()));
    let peer = Peer { uid: 4_000_000_001, gid: 4_000_000_001, pid: 0 };
    for head in ["GET /v1/status", "POST /v1/stop-all", "GET /v1/openapi.json", "GET /v2"] {
        let (mut near, far) = tokio::io::duplex(1024);
        tokio::spawn(server.clone().converse(far, peer, connections.admit(peer.uid)));
        let (status, body) = converse(&mut near, &request(head, "")).await;
        assert_eq!(status, 403, "{head}: {body}");
        let body: ErrorBody = serde_json::from_str(&body).unwrap();
        assert_eq!(body.code, ErrorCode::Forbidden);
    }
}

#[tokio::test]
async fn every_refusal_is_json_with_a_sentence() {
    let bench = Bench::new();
    let large = format!("{{\"reason\": \"{}\"}}", "x".repeat(64 * 1024));
    let exact = |body: &str| request("POST /v1/stop-all", body);
    let chunked = format!(
        "POST /v1/stop-all HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         transfer-encoding: chunked\r\n\r\n{:x}\r\n{large}\r\n0\r\n\r\n",
        large.len()
    );
    for (status, code, request) in [
        (404, ErrorCode::NotFound, request("GET /v1/nothing", "")),
        (404, ErrorCode::NotFound, request("GET /", "")),
        (404, ErrorCode::NotFound, request("GET /v1/flows?node=ct-9", "")),
        (404, ErrorCode::NotFound, request("POST /v1/nodes/ct-9/release", "{\"reason\":\"x\"}")),
        (405, ErrorCode::MethodNotAllowed, request("GET /v1/stop-all", "")),
        (405, ErrorCode::MethodNotAllowed, request("DELETE /v1/status", "")),
        (413, ErrorCode::TooLarge, exact(&large)),
        (413, ErrorCode::TooLarge, chunked),
        (413, ErrorCode::TooLarge, request("POST /v1/reload", &large)),
        (400, ErrorCode::BadRequest, exact("")),
        (400, ErrorCode::BadRequest, exact("{}")),
        (400, ErrorCode::BadRequest, exact(r#"{"reason": " "}"#)),
        (400, ErrorCode::BadRequest, exact(r#"{"reason": "a\nb"}"#)),
        (400, ErrorCode::BadRequest, exact(r#"{"reason": "x", "hrad": true}"#)),
        (400, ErrorCode::BadRequest, request("GET /v1/events?since=yesterday", "")),
        (400, ErrorCode::BadRequest, request("GET /v1/events?fellow=1", "")),
        (409, ErrorCode::Conflict, request("POST /v1/resume", "{\"reason\":\"x\"}")),
        (422, ErrorCode::InvalidPolicy, request("POST /v1/reload", "")),
        (500, ErrorCode::Internal, request("GET /v1/counters", "")),
    ] {
        let (found, body) = bench.raw(&request).await;
        let head = request.lines().next().unwrap();
        assert_eq!(found, status, "{head}: {body}");
        let body: ErrorBody = serde_json::from_str(&body).unwrap();
        assert_eq!(body.code, code, "{head}");
        assert!(!body.error.is_empty() && !body.error.contains('\n'), "{head}: {}", body.error);
    }
}

#[tokio::test]
async fn the_client_is_understood() {
    let bench = Bench::new();
    let client = bench.client();
    assert_eq!(client.status().await.unwrap().policy.hash, "c0ffee");
    let (status, body) = refusal(client.reload().await.unwrap_err());
    assert_eq!((status, body.code), (422, ErrorCode::InvalidPolicy));
    let query =
        FlowQuery { node: Some("ct 9&limit=1".into()), limit: Some(5), ..FlowQuery::default() };
    let (_, body) = refusal(client.flows(&query).await.unwrap_err());
    assert_eq!(body.error, "there is no node \"ct 9&limit=1\"");
    let reason = ReasonRequest { reason: "a drill".into() };
    let report = client.isolate("ct/1 ä", &reason).await.unwrap();
    assert_eq!(report.node, "ct/1 ä");
}

#[tokio::test]
async fn events_end_unless_followed() {
    let bench = Bench::new();
    let query = EventQuery { since: Some("2026-01-31T12:00:00+00:00".into()), follow: false };
    let mut events = bench.client().events(&query).await.unwrap();
    assert_eq!(events.next().await.unwrap().unwrap().time, "2026-01-31T12:00:00Z");
    assert_eq!(events.next().await.unwrap().unwrap().sequence, 2);
    assert_eq!(events.next().await.unwrap(), None);

    let query = EventQuery { since: None, follow: true };
    let mut events = bench.client().events(&query).await.unwrap();
    assert_eq!(events.next().await.unwrap().unwrap().sequence, 1);
    assert_eq!(events.next().await.unwrap().unwrap().sequence, 2);
    assert!(timeout(Duration::from_millis(50), events.next()).await.is_err());
}

#[tokio::test]
async fn the_description_names_every_route_and_no_other() {
    let bench = Bench::new();
    let (status, body) = bench.raw(&request("GET /v1/openapi.json", "")).await;
    assert_eq!(status, 200);
    let description: serde_json::Value = serde_json::from_str(&body).unwrap();
    let mut described = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        let methods = methods.as_object().unwrap().keys().filter(|key| *key != "parameters");
        described.extend(methods.map(|method| (path.clone(), method.clone())));
    }
    let mut routes = Vec::new();
    for endpoint in Endpoint::ALL {
        let method = match endpoint.method() {
            Method::Get => "get",
            Method::Post => "post",
        };
        routes.push((endpoint.path().to_owned(), method.to_owned()));
    }
    routes.sort();
    described.sort();
    assert_eq!(described, routes);
}

#[tokio::test]
async fn the_socket_is_for_owner_and_group() {
    let bench = Bench::new();
    let mode = std::fs::metadata(bench.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o660);
    let mut names: Vec<_> = std::fs::read_dir(bench.directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["control.sock", "control.sock.lock"]);
}

#[tokio::test]
async fn a_second_daemon_is_refused_and_a_dead_one_is_succeeded() {
    let bench = Bench::new();
    let settings = settings(bench.directory.path());
    let error = Listener::bind(&settings).unwrap_err();
    assert!(matches!(error, BindError::InUse { .. }), "{error}");
    assert!(error.to_string().starts_with("socket already in use"), "{error}");

    // The listener is dropped with the task, and takes its socket along.
    bench.task.abort();
    while !bench.task.is_finished() {
        tokio::task::yield_now().await;
    }
    assert!(!bench.socket().exists());
    drop(std::os::unix::net::UnixListener::bind(bench.socket()).unwrap());
    let listener = Listener::bind(&settings).unwrap();
    drop(listener);
    let error = Client::new(bench.socket()).status().await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn what_is_no_socket_stays() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    std::fs::write(&settings.socket, "precious").unwrap();
    assert!(matches!(Listener::bind(&settings), Err(BindError::NotASocket { .. })));
    assert_eq!(std::fs::read(&settings.socket).unwrap(), b"precious");
}

#[tokio::test]
async fn a_missing_group_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let settings = config::Control { group: "no-such-group".into(), ..settings(directory.path()) };
    let error = Listener::bind(&settings).unwrap_err();
    assert!(error.to_string().contains("no-such-group"), "{error}");
    assert!(error.hint().unwrap().contains("groupadd"));
}
