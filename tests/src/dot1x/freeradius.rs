//! FreeRADIUS as hostapd's authentication server, and as the proxy of its accounting.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use super::{Numbers, PATIENCE, SECRET};
use crate::lab::{Lab, Namespace, Process};

/// Where it listens for accounting. The authentication is where everybody expects it.
pub(super) const ACCOUNTING: u16 = 1814;

/// FreeRADIUS, killed when dropped.
#[derive(Debug)]
pub struct FreeRadius {
    process: Process,
}

impl FreeRadius {
    /// On the loopback of that namespace. It lets in whose certificate has the name that they say, and
    /// hands accounting on to the listener at that address.
    pub fn start(
        lab: &Lab,
        namespace: &Namespace,
        pki: &Path,
        listener: &str,
        numbers: &Numbers,
    ) -> Self {
        let name = numbers.name("freeradius");
        let directory = lab.directory().join(&name);
        fs::create_dir(&directory).expect("make a directory of FreeRADIUS's");
        let program = find();
        let modules = program.ancestors().nth(2).expect("a prefix").join("lib/freeradius");
        let text = configuration(&directory, &modules, pki, listener);
        fs::write(directory.join("radiusd.conf"), text).expect("write its configuration");
        let dictionary = "$INCLUDE /usr/share/freeradius/dictionary\n";
        fs::write(directory.join("dictionary"), dictionary).expect("write its dictionary");
        let mut command = namespace.command(program);
        command.args(["-X", "-n", "radiusd", "-d"]).arg(&directory);
        let mut process = lab.process(&name, command);
        process.wait_for_log("Ready to process requests", PATIENCE);
        Self { process }
    }

    /// What it has said and done.
    pub fn log(&self) -> String {
        self.process.log()
    }
}

/// The program, past links: its modules lie beside it.
fn find() -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let places = env::split_paths(&path).chain(["/usr/sbin".into()]);
    let found = places.map(|place| place.join("freeradius")).find(|file| file.is_file());
    let found = found.expect("no freeradius; `cargo xtask setup` brings it");
    found.canonicalize().expect("the path of freeradius")
}

fn configuration(directory: &Path, modules: &Path, pki: &Path, listener: &str) -> String {
    let (place, modules, pki) = (directory.display(), modules.display(), pki.display());
    format!(
        r#"prefix = {place}
libdir = {modules}
logdir = {place}
run_dir = {place}
pidfile = {place}/pid
max_request_time = 10
security {{
    reject_delay = 0
    # Debian mends what the version number is warned of.
    allow_vulnerable_openssl = yes
}}
proxy_requests = yes
proxy server {{
}}
home_server cordon {{
    type = acct
    ipaddr = {listener}
    port = 1813
    secret = "{SECRET}"
    response_window = 5
    status_check = none
}}
home_server_pool cordon {{
    type = fail-over
    home_server = cordon
}}
realm cordon {{
    acct_pool = cordon
}}
client hostapd {{
    ipaddr = 127.0.0.1
    secret = "{SECRET}"
    require_message_authenticator = no
}}
modules {{
    eap {{
        default_eap_type = tls
        tls-config node {{
            certificate_file = {pki}/gateway.crt
            private_key_file = {pki}/gateway.key
            ca_file = {pki}/ca.crt
            check_cert_cn = %{{User-Name}}
            tls_min_version = "1.2"
            tls_max_version = "1.2"
            ecdh_curve = ""
        }}
        tls {{
            tls = node
        }}
    }}
    always ok {{
        rcode = ok
    }}
}}
server default {{
    listen {{
        type = auth
        ipaddr = 127.0.0.1
        port = 1812
    }}
    listen {{
        type = acct
        ipaddr = 127.0.0.1
        port = {ACCOUNTING}
    }}
    authorize {{
        eap
    }}
    authenticate {{
        eap
    }}
    preacct {{
        update control {{
            &Proxy-To-Realm := "cordon"
        }}
    }}
    accounting {{
        ok
    }}
    pre-proxy {{
        update proxy-request {{
            &Message-Authenticator := 0x00
        }}
    }}
}}
"#
    )
}
