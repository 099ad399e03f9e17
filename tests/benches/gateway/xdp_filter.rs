//! xdp-filter (xdp-tools) with all its features, loaded by aya: its own loader wants a dispatcher of
//! libxdp, whose cost would count against it.

use std::fs;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use aya::maps::{MapData, PerCpuArray, PerCpuValues};
use aya::programs::Xdp;
use aya::util::nr_cpus;
use aya::{Ebpf, EbpfLoader};

use crate::frames::SERVICE;
use crate::program::Program;

/// Its program under a policy of default deny.
const DENY: &str = "xdpfilt_dny_all";
/// `MAP_FLAG_SRC`, `MAP_FLAG_DST`, `MAP_FLAG_TCP`, `MAP_FLAG_UDP` (xdp-filter's
/// `common_kern_user.h`): what `xdp-filter port 4000` sets.
const BOTH_WAYS: u64 = 0b1111;

/// What it lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Allows {
    /// Frames from or to the port of the service: it has looked for MACs and addresses by then.
    Service,
    Nothing,
}

/// Its program, with maps of its own in `pins`.
pub(crate) fn load(pins: &Path, allows: Allows) -> Program {
    fs::create_dir_all(pins).unwrap();
    let object = fs::read(directory().join(DENY).with_extension("o"));
    let object = object.unwrap_or_else(|error| panic!("xdp-filter's object: {error}"));
    let mut filter = EbpfLoader::new().default_map_pin_directory(pins).load(&object).unwrap();
    match allows {
        Allows::Service => allow_service(&mut filter),
        Allows::Nothing => {}
    }
    let program: &mut Xdp = filter.program_mut(DENY).unwrap().try_into().unwrap();
    program.load().unwrap();
    Program::new(program.fd().unwrap().as_fd().try_clone_to_owned().unwrap())
}

fn allow_service(filter: &mut Ebpf) {
    let ports = filter.map_mut("filter_ports").unwrap();
    let mut ports: PerCpuArray<&mut MapData, u64> = ports.try_into().unwrap();
    let flags = PerCpuValues::try_from(vec![BOTH_WAYS; nr_cpus().unwrap()]).unwrap();
    // It looks the port up as it lies in the frame.
    ports.set(SERVICE.to_be().into(), flags, 0).unwrap();
}

/// Where its objects lie.
fn directory() -> PathBuf {
    let directory = std::env::var_os("XDP_FILTER_DIR").expect("start this by `cargo xtask bench`");
    directory.into()
}
