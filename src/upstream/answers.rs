//! What the names of a pool resolved to, and the places that follow from it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::net::SocketAddr;

use crate::config;
use crate::names::EndpointAddr;
use crate::upstream::place::Place;

/// The latest addresses of the names of a pool.
#[derive(Debug, Default)]
pub struct Answers(BTreeMap<Box<str>, Vec<IpAddr>>);

impl Answers {
    /// The addresses of a name, if there ever were any.
    pub(super) fn get(&self, name: &str) -> Option<&[IpAddr]> {
        self.0.get(name).map(Vec::as_slice)
    }

    /// A name has these addresses now.
    pub(super) fn insert(&mut self, name: &str, addresses: Vec<IpAddr>) {
        self.0.insert(name.into(), addresses);
    }

    /// Forgets names that the configuration does not have any more.
    pub(super) fn retain(&mut self, config: &config::pool::Pool) {
        self.0.retain(|known, _| names(config).any(|name| name == &**known));
    }

    /// The places of a pool with their weights: each address of a name has the weight of the name. A
    /// name without an answer stands for itself. An address that occurs twice counts once.
    pub(super) fn places(&self, config: &config::pool::Pool) -> Vec<(Place, u32)> {
        let mut places: Vec<(Place, u32)> = Vec::with_capacity(config.endpoints.len());
        for endpoint in &config.endpoints {
            let EndpointAddr::Name(name, port) = &endpoint.address else {
                places.push((endpoint.address.clone().into(), endpoint.weight));
                continue;
            };
            let Some(addresses) = self.0.get(name) else {
                places.push((endpoint.address.clone().into(), endpoint.weight));
                continue;
            };
            for address in addresses {
                let address = EndpointAddr::Socket(SocketAddr::new(*address, *port));
                if places.iter().all(|(place, _)| place.address != address) {
                    places.push((Place { address, name: Some(name.clone()) }, endpoint.weight));
                }
            }
        }
        places
    }
}

fn names(config: &config::pool::Pool) -> impl Iterator<Item = &str> {
    config.endpoints.iter().filter_map(|endpoint| match &endpoint.address {
        EndpointAddr::Name(name, _) => Some(&**name),
        EndpointAddr::Socket(_) | EndpointAddr::Unix(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(endpoints: &[(&str, u32)]) -> config::pool::Pool {
        let endpoint = |(address, weight): &(&str, u32)| config::pool::Endpoint {
            address: address.parse().unwrap(),
            weight: *weight,
        };
        config::pool::Pool::new("shop".parse().unwrap(), endpoints.iter().map(endpoint).collect())
    }

    /// SPEC PX-2.
    #[test]
    fn each_address_of_a_name_has_its_weight_and_no_address_counts_twice() {
        let config = pool(&[("10.0.0.1:80", 1), ("app:80", 2), ("other:80", 3), ("app:81", 4)]);
        let mut answers = Answers::default();
        let shown = |answers: &Answers| {
            let places = answers.places(&config).into_iter();
            places.map(|(place, weight)| format!("{place} {weight}")).collect::<Vec<_>>()
        };
        assert_eq!(shown(&answers), ["10.0.0.1:80 1", "app:80 2", "other:80 3", "app:81 4"]);
        let both = ["10.0.0.1", "10.0.0.2"].map(|text| text.parse().unwrap()).to_vec();
        answers.insert("app", both);
        let expected =
            ["10.0.0.1:80 1", "10.0.0.2:80 2", "other:80 3", "10.0.0.1:81 4", "10.0.0.2:81 4"];
        assert_eq!(shown(&answers), expected);
        let place = &answers.places(&config)[1].0;
        assert_eq!(place.host(), "app", "what TLS verifies");
        answers.retain(&pool(&[("other:80", 1)]));
        assert!(answers.0.is_empty());
    }
}
