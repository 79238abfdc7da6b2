//! Addresses: each is listened on once.

use std::collections::HashMap;
use std::net::SocketAddr;

use crate::config::complaint::Complaint;
use crate::config::complaint::Complaints;
use crate::config::raw::Raw;
use crate::config::source::Place;

/// Checks `listen` and `redirect_http` of all parents and the address of `[admin]`.
pub fn check(raw: &Raw, complaints: &mut Complaints) {
    let mut services: Vec<_> = raw.virtual_services.iter().collect();
    services.sort_by_key(|(_, service)| (service.file, service.place.span().start));
    let mut seen: HashMap<SocketAddr, (Option<&Place>, String)> = HashMap::new();
    if let Some((address, place)) = raw.admin_address() {
        seen.insert(address, (place, "[admin]".to_owned()));
    }
    for (name, service) in services {
        let Some(content) = &service.content else { continue };
        let lists = [("listen", &content.listen), ("redirect_http", &content.redirect_http)];
        for (key, list) in lists {
            for listen in list.good().into_iter().flat_map(|list| &list.value) {
                let address = listen.value.0;
                if address.port() == 0 {
                    continue;
                }
                let Some((first, owner)) = seen.get(&address) else {
                    seen.insert(address, (Some(&listen.place), format!("`{key}` of `{name}`")));
                    continue;
                };
                let message = format!("the address `{address}` is used twice");
                let complaint = Complaint::error(listen.place.clone(), message).label("again");
                let complaint = match first {
                    Some(first) => {
                        complaint.see((*first).clone(), format!("first here, for {owner}"))
                    }
                    None => complaint.note("[admin] listens there unless it names another address"),
                };
                complaints.push(complaint.help("give one of them another port or address"));
            }
        }
    }
}
