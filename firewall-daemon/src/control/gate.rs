//! Who asks, and whether they may.

use std::fs;
use std::time::Duration;

use firewall_control::Caller;
use nix::unistd::{Gid, Group, Uid, User};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// The user database may live behind a network that is stopped.
const PATIENCE: Duration = Duration::from_secs(2);

/// The other end of a connection, as the kernel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) pid: u32,
}

/// Lets through root and the members of one group, as the group is at the time of the request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gate {
    group: Gid,
}

impl Gate {
    pub(crate) const fn new(group: Gid) -> Self {
        Self { group }
    }

    /// The caller, and whether they may command. Root never waits for the user database.
    pub(crate) async fn judge(self, peer: Peer) -> (Caller, bool) {
        let (user, member) = if peer.uid == 0 {
            (Some("root".to_owned()), true)
        } else {
            let lookup = spawn_blocking(move || {
                let user = User::from_uid(Uid::from_raw(peer.uid)).ok().flatten();
                let member = self.is_member(user.as_ref());
                (user.map(|user| user.name), member)
            });
            match timeout(PATIENCE, lookup).await {
                Ok(Ok(found)) => found,
                Ok(Err(_)) | Err(_) => (None, false),
            }
        };
        let may = member || peer.gid == self.group.as_raw();
        let Peer { uid, gid, pid } = peer;
        (Caller { uid, gid, pid, user, process: process(pid) }, may)
    }

    fn is_member(self, user: Option<&User>) -> bool {
        let Some(user) = user else { return false };
        let group = Group::from_gid(self.group).ok().flatten();
        user.gid == self.group || group.is_some_and(|group| group.mem.contains(&user.name))
    }
}

/// What the process calls itself: its own claim, so control characters are taken out.
fn process(pid: u32) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim_end().chars().filter(|character| !character.is_control()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No account on any system has these.
    const NOBODY: u32 = 4_000_000_001;

    fn peer(uid: u32, gid: u32) -> Peer {
        Peer { uid, gid, pid: std::process::id() }
    }

    #[tokio::test]
    async fn root_and_the_group_may_command() {
        let gate = Gate::new(Gid::from_raw(NOBODY));
        let (caller, may) = gate.judge(peer(0, 0)).await;
        assert!(may);
        assert_eq!(caller.user.as_deref(), Some("root"));
        assert!(gate.judge(peer(NOBODY, NOBODY)).await.1);
    }

    #[tokio::test]
    async fn others_may_not() {
        let gate = Gate::new(Gid::from_raw(NOBODY));
        let (caller, may) = gate.judge(peer(NOBODY + 1, NOBODY + 1)).await;
        assert!(!may);
        assert_eq!(caller.user, None);
        assert!(caller.process.is_some());
    }
}
