//! What may come in through the control socket.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use firewall_control::{
    Caller, Counters, Event, EventKind, FlowQuery, Flows, NodeQuery, NodeReport, NodeState, Nodes,
    ReasonRequest, ReloadReport, ResumeRequest, Status, StopLevel, StopReport, StopRequest,
    check_reason,
};
use firewall_daemon::control::{Failure, Operator, converse_as_root};
use jiff::Timestamp;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;

/// Everything that one connection sends.
///
/// Panics unless the answers are of HTTP and none of them is "internal error", and unless every
/// command that reaches the operator has a reason and was posted.
pub fn request(bytes: &[u8]) {
    thread_local! {
        static RUNTIME: RefCell<Runtime> = RefCell::new(
            Builder::new_current_thread().enable_all().build().expect("a runtime")
        );
    }
    let commands = Arc::new(AtomicU64::new(0));
    let operator = Arc::new(Clerk { commands: Arc::clone(&commands) });
    let mut stream = tokio::io::join(bytes, Vec::new());
    RUNTIME.with_borrow(|runtime| runtime.block_on(converse_as_root(&mut stream, operator)));
    let answer = String::from_utf8_lossy(stream.writer());
    // Whoever speaks HTTP/1.0 is answered in it.
    assert!(answer.is_empty() || answer.starts_with("HTTP/1."), "{answer}");
    // What is echoed of a request has no ends of lines.
    assert!(!answer.contains(" 500 Internal Server Error\r\n"), "{answer}");
    let posts = bytes.windows(5).filter(|word| word == b"POST ").count() as u64;
    let commands = commands.load(Relaxed);
    assert!(commands <= posts, "{commands} commands from {posts} posts");
}

/// Takes commands and does nothing.
struct Clerk {
    commands: Arc<AtomicU64>,
}

impl Clerk {
    fn take(&self, reason: &str) {
        assert_eq!(check_reason(reason), Ok(()), "{reason:?}");
        self.commands.fetch_add(1, Relaxed);
    }

    fn stopped(&self, reason: &str, subnetwork: Option<String>) -> StopReport {
        self.take(reason);
        StopReport {
            subnetwork,
            latched: StopLevel::Ordinary,
            effective: StopLevel::Ordinary,
            since: None,
            took_microseconds: 1,
            message: String::new(),
        }
    }

    fn cut(&self, reason: &str, node: String) -> NodeReport {
        self.take(reason);
        let (state, message) = (NodeState::Isolated, String::new());
        NodeReport { node, state, cut_flows: 0, took_microseconds: 1, message }
    }
}

impl Operator for Clerk {
    async fn status(&self) -> Result<Status, Failure> {
        Err(Failure::Busy)
    }

    async fn counters(&self) -> Result<Counters, Failure> {
        Err(Failure::Busy)
    }

    async fn flows(&self, query: FlowQuery) -> Result<Flows, Failure> {
        query.node.map_or_else(|| Ok(Flows::default()), |name| Err(Failure::UnknownNode { name }))
    }

    async fn nodes(&self, _: NodeQuery) -> Result<Nodes, Failure> {
        Ok(Nodes::default())
    }

    async fn events(
        &self,
        since: Option<Timestamp>,
        _follow: bool,
    ) -> Result<mpsc::Receiver<Event>, Failure> {
        let (sender, receiver) = mpsc::channel(1);
        let time = since.unwrap_or(Timestamp::UNIX_EPOCH).to_string();
        let _nobody_has_left = sender.send(Event::new(1, time, 0, EventKind::Start)).await;
        Ok(receiver)
    }

    async fn reload(&self, _: Caller) -> Result<ReloadReport, Failure> {
        self.take("a reload needs none");
        Err(Failure::InvalidPolicy { diagnostics: Vec::new() })
    }

    async fn stop(&self, _: Caller, request: StopRequest) -> Result<StopReport, Failure> {
        Ok(self.stopped(&request.reason, request.subnetwork))
    }

    async fn resume(&self, _: Caller, request: ResumeRequest) -> Result<StopReport, Failure> {
        Ok(self.stopped(&request.reason, request.subnetwork))
    }

    async fn isolate(
        &self,
        _: Caller,
        node: String,
        request: ReasonRequest,
    ) -> Result<NodeReport, Failure> {
        Ok(self.cut(&request.reason, node))
    }

    async fn release(
        &self,
        _: Caller,
        node: String,
        request: ReasonRequest,
    ) -> Result<NodeReport, Failure> {
        Ok(self.cut(&request.reason, node))
    }
}
