//! Who asks, and whether they may.

use std::fs;
use std::time::Duration;

use firewall_control::Caller;
use nix::unistd::{Gid, Group, Uid, User};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// The user database may live behind a network that is stopped: so long it may take to name a
/// caller who may command anyway,
const NAME: Duration = Duration::from_millis(250);
/// and so long to find out whether they may.
const MEMBERSHIP: Duration = Duration::from_secs(2);

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

    /// The caller, and whether they may command. What the kernel knows about them decides first,
    /// as it did when they opened the socket; only then the user database is asked.
    pub(crate) async fn judge(self, peer: Peer) -> (Caller, bool) {
        let Peer { uid, gid, pid } = peer;
        let process = process(pid);
        if uid == 0 {
            return (Caller { uid, gid, pid, user: Some("root".to_owned()), process }, true);
        }
        let may = gid == self.group.as_raw() || groups(pid).contains(&self.group.as_raw());
        let lookup = spawn_blocking(move || {
            let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
            let member = may || self.is_member(user.as_ref());
            (user.map(|user| user.name), member)
        });
        let (user, may) = match timeout(if may { NAME } else { MEMBERSHIP }, lookup).await {
            Ok(Ok(found)) => found,
            Ok(Err(_)) | Err(_) => (None, may),
        };
        (Caller { uid, gid, pid, user, process }, may)
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

/// The supplementary groups of a process that still lives (proc_pid_status(5)).
fn groups(pid: u32) -> Vec<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Groups:"));
    line.unwrap_or_default().split_whitespace().filter_map(|group| group.parse().ok()).collect()
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

    #[test]
    fn the_kernel_knows_the_groups_of_a_process() {
        let mut expected: Vec<u32> =
            nix::unistd::getgroups().unwrap().into_iter().map(Gid::as_raw).collect();
        let mut found = groups(std::process::id());
        expected.sort();
        found.sort();
        assert_eq!(found, expected);
        assert!(groups(0).is_empty());
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
