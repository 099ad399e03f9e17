//! Ports that every application treats alike share a service: a range of a thousand ports costs a
//! rule one entry.

use std::collections::{BTreeSet, HashMap};

use firewall_common::Service;
use firewall_common::image::{Line, SERVICE_LINES, SERVICE_LINES_PER_PROTOCOL, SERVICES_PER_LINE};

use super::{CompileError, is_free};
use crate::model::{Application, ApplicationId, Policy, PortRange};

pub(super) struct Services {
    /// The service of echo; none if no rule allows it.
    pub(super) echo: Service,
    of_application: Vec<Vec<Service>>,
    /// TCP's, then UDP's.
    segments: [Vec<(PortRange, Service)>; 2],
}

impl Services {
    /// Of the applications that some rule allows; the others do not matter.
    pub(super) fn of(policy: &Policy) -> Result<Self, CompileError> {
        let applications = policy.applications();
        let mut is_used = vec![false; applications.len()];
        for id in policy.rules().iter().flat_map(|rule| &rule.applications) {
            is_used[id.index()] = true;
        }
        let used: Vec<(usize, &Application)> =
            applications.iter().enumerate().filter(|(index, _)| is_used[*index]).collect();
        let mut services = Self {
            echo: Service::NONE,
            of_application: vec![Vec::new(); applications.len()],
            segments: [Vec::new(), Vec::new()],
        };
        let mut known: HashMap<Vec<usize>, Service> = HashMap::new();
        for protocol in 0..2 {
            let ranges = used.iter().flat_map(|&(index, application)| {
                let ranges = if protocol == 0 { &application.tcp } else { &application.udp };
                ranges.iter().map(move |&range| (range, index))
            });
            for (range, users) in segments(ranges.collect()) {
                let service = match known.get(&users) {
                    Some(&service) => service,
                    None => {
                        let service = number(known.len() + 1)?;
                        for &index in &users {
                            services.of_application[index].push(service);
                        }
                        known.insert(users, service);
                        service
                    }
                };
                services.segments[protocol].push((range, service));
            }
        }
        let pinging: Vec<usize> =
            used.iter().filter(|(_, one)| one.echo).map(|(index, _)| *index).collect();
        if !pinging.is_empty() {
            services.echo = number(known.len() + 1)?;
            for index in pinging {
                services.of_application[index].push(services.echo);
            }
        }
        Ok(services)
    }

    /// The services that an application consists of.
    pub(super) fn of_application(&self, id: ApplicationId) -> &[Service] {
        &self.of_application[id.index()]
    }

    /// The service table.
    pub(super) fn lines(&self) -> Vec<Line> {
        let mut lines = vec![Line::default(); SERVICE_LINES as usize];
        let (tcp, udp) = lines.split_at_mut(SERVICE_LINES_PER_PROTOCOL as usize);
        for (lines, segments) in [tcp, udp].into_iter().zip(&self.segments) {
            for &(PortRange { first, last }, Service(service)) in segments {
                for port in usize::from(first)..=usize::from(last) {
                    let lane = port % SERVICES_PER_LINE as usize;
                    let words = &mut lines[port / SERVICES_PER_LINE as usize].0;
                    words[lane / 4] |= u64::from(service) << (16 * (lane % 4));
                }
            }
        }
        lines
    }
}

fn number(next: usize) -> Result<Service, CompileError> {
    let number = u16::try_from(next).ok().filter(|&number| is_free(number));
    number.map(Service).ok_or(CompileError::Services)
}

/// Cuts overlapping ranges into pieces, each with all of its users.
fn segments(ranges: Vec<(PortRange, usize)>) -> Vec<(PortRange, Vec<usize>)> {
    let mut borders: Vec<(u32, bool, usize)> = Vec::with_capacity(2 * ranges.len());
    for (PortRange { first, last }, user) in ranges {
        borders.push((u32::from(first), true, user));
        borders.push((u32::from(last) + 1, false, user));
    }
    borders.sort_unstable();
    let mut users = BTreeSet::new();
    let mut segments = Vec::new();
    let mut start = 0;
    for (at, begins, user) in borders {
        if at > start && !users.is_empty() {
            let range = u16::try_from(start).ok().zip(u16::try_from(at - 1).ok());
            if let Some((first, last)) = range {
                segments.push((PortRange { first, last }, users.iter().copied().collect()));
            }
        }
        start = at;
        if begins {
            users.insert(user);
        } else {
            users.remove(&user);
        }
    }
    segments
}
