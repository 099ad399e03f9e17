//! hostapd's control socket and the port's carrier, for [`Dot1x`].

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::UnixDatagram;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::Dot1x;
use crate::auth::{Claim, Source};
use crate::dataplane::carrier::Carrier;
use crate::dataplane::clock::monotonic;
use crate::dataplane::watch::{PORTS, Watch};

/// Between two tries to reach a hostapd that is not there.
const RETRY: Duration = Duration::from_millis(300);
/// hostapd's answers have at most 4,096 bytes.
const LONGEST: usize = 8192;

/// Where hostapd is, and where it answers to.
#[derive(Clone, Debug)]
pub struct Place {
    /// What it is called in claims.
    pub source: Source,
    /// Its control socket.
    pub socket: PathBuf,
    /// Ours.
    pub own: PathBuf,
    /// The port's interface.
    pub interface: String,
    /// How long after each proof a node is asked for the next one.
    pub reauthenticate: Duration,
}

/// Follows a hostapd, and every one that comes after it, until nobody wants to know.
pub async fn follow(place: Place, claims: mpsc::Sender<Claim>) {
    let mut machine = Dot1x::new(place.source, place.reauthenticate);
    let mut carrier = None;
    loop {
        let ended = converse(&place, &mut machine, &mut carrier, &claims).await;
        if let Err(error) = ended {
            tracing::debug!(%error, socket = %place.socket.display(), "no hostapd");
        }
        machine.lost();
        if say(&mut machine, &claims).await.is_err() {
            return;
        }
        sleep(RETRY).await;
    }
}

/// Until hostapd or the listener is gone.
async fn converse(
    place: &Place,
    machine: &mut Dot1x,
    carrier: &mut Option<Carrier>,
    claims: &mpsc::Sender<Claim>,
) -> io::Result<()> {
    let socket = connect(&place.own, &place.socket)?;
    let watch = Watch::open(PORTS)?;
    machine.connected(monotonic());
    let mut datagram = vec![0; LONGEST];
    while machine.is_connected() {
        // Before anything is heard: whoever proves something after a change is let in after it.
        let now = Carrier::of(&place.interface)?;
        if carrier.replace(now).is_some_and(|before| before != now) {
            machine.carrier_changed(now.is_up, monotonic());
        }
        machine.pass(monotonic());
        while let Some(text) = machine.poll_transmit(monotonic()) {
            socket.send(text.as_bytes()).await?;
        }
        say(machine, claims).await?;
        let next = machine.poll_timeout().map(|at| at.saturating_sub(monotonic()));
        tokio::select! {
            received = socket.recv(&mut datagram) => {
                let length = received?;
                machine.received(datagram.get(..length).unwrap_or_default(), monotonic());
            }
            changed = watch.changed() => changed?,
            () = sleep(next.unwrap_or(RETRY)) => {}
        }
    }
    Ok(())
}

async fn say(machine: &mut Dot1x, claims: &mpsc::Sender<Claim>) -> io::Result<()> {
    while let Some(claim) = machine.poll_claim() {
        claims.send(claim).await.map_err(|_| io::ErrorKind::BrokenPipe)?;
    }
    Ok(())
}

fn connect(own: &Path, hostapd: &Path) -> io::Result<UnixDatagram> {
    // What a daemon that was killed has left.
    let _ = std::fs::remove_file(own);
    let socket = UnixDatagram::bind(own)?;
    socket.connect(hostapd)?;
    Ok(socket)
}
