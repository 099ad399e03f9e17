//! hostapd's part, played by a socket that says what hostapd says: the station is `ct-1`.

use std::{
    os::unix::net::UnixDatagram,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{Gateway, policy::NEAR};

const SUCCESS: &str = "CTRL-EVENT-EAP-SUCCESS";

/// What answers on hostapd's socket, until it is dropped.
pub struct Hostapd {
    events: mpsc::Sender<&'static str>,
    station: Arc<Station>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

struct Station {
    identity: Mutex<String>,
    is_let_in: AtomicBool,
    is_there: AtomicBool,
    frames: AtomicU64,
}

impl Gateway {
    /// A gateway whose `ct-1` must prove itself to a hostapd on `inside`, which the daemon has found.
    pub fn with_hostapd(more: &str) -> (Self, Hostapd) {
        let mut gateway = Self::prepare_authenticated("802.1x");
        let path = gateway.hostapd_socket();
        let hostapd = Hostapd::start(path.clone());
        let listen = format!(
            "[[authentication.hostapd]]\nport = \"inside\"\nsocket = \"{}\"\n{more}",
            path.display()
        );
        gateway.write_config(&(gateway.config_text() + &listen));
        gateway.restart();
        (gateway, hostapd)
    }

    /// Where the hostapd on `inside` listens.
    pub fn hostapd_socket(&self) -> PathBuf {
        self.lab().directory().join("hostapd")
    }
}

impl Hostapd {
    /// One that has let nobody in. Whoever it lets in answers when asked to prove itself again.
    pub fn start(path: PathBuf) -> Self {
        let _left_by_the_one_before = std::fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path).expect("hostapd's socket");
        socket.set_read_timeout(Some(Duration::from_millis(5))).expect("a timeout");
        let (events, told) = mpsc::channel::<&str>();
        let station = Arc::new(Station {
            identity: Mutex::new("ct-1.example".to_owned()),
            is_let_in: AtomicBool::new(false),
            is_there: AtomicBool::new(true),
            frames: AtomicU64::new(5),
        });
        let over = Arc::new(AtomicBool::new(false));
        let (known, end, again) = (Arc::clone(&station), Arc::clone(&over), events.clone());
        let thread = thread::spawn(move || {
            let (mut listener, mut buffer) = (None, [0; 4096]);
            while !end.load(SeqCst) {
                if let Some(listener) = &listener
                    && let Ok(event) = told.try_recv()
                {
                    known.is_let_in.store(event == SUCCESS, SeqCst);
                    let event = format!("<3>{event} {}", NEAR.mac);
                    socket.send_to(event.as_bytes(), listener).expect("a listener");
                }
                let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
                let from = from.as_pathname().expect("a listener with a name").to_owned();
                let question = std::str::from_utf8(&buffer[..length]).expect("a question");
                let answer = match question.split(' ').next() {
                    Some("ATTACH") => {
                        listener = Some(from.clone());
                        "OK\n".to_owned()
                    }
                    Some("PING") => "PONG\n".to_owned(),
                    Some("STA") => known.tell().unwrap_or_else(|| "FAIL\n".to_owned()),
                    Some("STA-FIRST") => known.tell().unwrap_or_default(),
                    Some("EAPOL_REAUTH") => {
                        if known.is_there.load(SeqCst) {
                            known.frames.fetch_add(2, SeqCst);
                            again.send(SUCCESS).expect("this very thread");
                        }
                        "OK\n".to_owned()
                    }
                    Some(_) | None => String::new(),
                };
                // A daemon that was killed does not listen.
                let _ = socket.send_to(answer.as_bytes(), from);
            }
        });
        Self { events, station, over, thread: Some(thread) }
    }

    /// The station has proved itself.
    pub fn lets_in(&self) {
        self.say(SUCCESS);
    }

    /// Says that of the station.
    pub fn say(&self, event: &'static str) {
        self.events.send(event).expect("a hostapd that runs");
    }

    /// As whom it proves itself from now on.
    pub fn is_now(&self, identity: &str) {
        identity.clone_into(&mut self.station.identity());
    }

    /// Whether there is somebody who answers when asked to prove itself again.
    pub fn is_there(&self, is: bool) {
        self.station.is_there.store(is, SeqCst);
    }
}

impl Station {
    /// What hostapd tells of it, if it holds it as let in.
    fn tell(&self) -> Option<String> {
        self.is_let_in.load(SeqCst).then(|| {
            format!(
                "{}\nflags=[AUTHORIZED]\ndot1xAuthEapolFramesRx={}\ndot1xAuthSessionId=1\n\
                 dot1xAuthSessionUserName={}\n",
                NEAR.mac,
                self.frames.load(SeqCst),
                self.identity()
            )
        })
    }

    fn identity(&self) -> MutexGuard<'_, String> {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Hostapd {
    fn drop(&mut self) {
        self.over.store(true, SeqCst);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(ended.is_none_or(|ended| ended.is_ok()) || thread::panicking());
    }
}
