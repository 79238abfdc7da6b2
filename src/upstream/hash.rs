//! Consistent hash: what a request's key is, and the ring on which it finds its endpoint.

use std::hash::BuildHasher;
use std::hash::RandomState;
use std::net::IpAddr;

use http::HeaderName;

use crate::config::balance::HashKey;
use crate::message::Fields;
use crate::upstream::cookie;

/// Points on a circle, several for each endpoint. A key belongs to the first point at or after it, so
/// that an endpoint that comes or goes moves its own keys and no others.
#[derive(Debug)]
pub struct Ring(Vec<Point>);

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Point {
    at: u64,
    place: u32,
}

/// Where the key of a request comes from.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// The client's address, as also where a field or a cookie is missing.
    ClientAddress,
    /// A cookie.
    Cookie(String),
    /// A field.
    Header(HeaderName),
}

impl Ring {
    /// Where an endpoint's points are depends on its label alone, how many on its weight.
    pub fn new(labels: &[&str], weights: &[u32]) -> Self {
        let wanted: u64 = weights.iter().map(|weight| u64::from(*weight) * POINTS).sum();
        // In powers of two: it changes seldom, and with it every endpoint's number of points.
        let mut divisor = 1;
        while wanted / divisor > MOST_POINTS {
            divisor *= 2;
        }
        let mut points = Vec::new();
        for (place, (label, weight)) in labels.iter().zip(weights).enumerate() {
            let origin = hash(label.as_bytes());
            let count = (u64::from(*weight) * POINTS).div_ceil(divisor);
            let place = u32::try_from(place).unwrap_or(u32::MAX);
            let at = |number: u64| mix(origin ^ mix(number + 1));
            points.extend((0..count).map(|number| Point { at: at(number), place }));
        }
        points.sort_unstable();
        Self(points)
    }

    /// The first place from the key on that may be next.
    pub fn find(&self, key: u64, places: usize, is_next: &impl Fn(usize) -> bool) -> Option<usize> {
        let start = self.0.partition_point(|point| point.at < key);
        let (before, after) = self.0.split_at(start);
        let mut walk = after.iter().chain(before).map(|point| point.place as usize);
        let first = walk.by_ref().take(STEPS).find(|place| is_next(*place));
        // Not all the way round for nothing.
        first.or_else(|| (0..places).any(is_next).then(|| walk.find(|place| is_next(*place)))?)
    }
}

impl KeySource {
    /// A field name that is none is a mistake of the configuration; its place takes the address.
    pub fn new(key: &HashKey) -> Self {
        match key {
            HashKey::ClientAddress => Self::ClientAddress,
            HashKey::Cookie(name) => Self::Cookie(name.clone()),
            HashKey::Header(name) => {
                HeaderName::from_bytes(name.as_bytes()).map_or(Self::ClientAddress, Self::Header)
            }
        }
    }

    /// The key of a request, or of a stream, which has no fields.
    pub fn key(&self, fields: Option<&Fields>, client: IpAddr) -> u64 {
        let value = fields.and_then(|fields| match self {
            Self::ClientAddress => None,
            Self::Cookie(name) => cookie::value(fields, name),
            Self::Header(name) => fields.get(name).map(|value| value.as_bytes()),
        });
        match (value, client.to_canonical()) {
            (Some(value), _) => hash(value),
            (None, IpAddr::V4(address)) => hash(&address.octets()),
            (None, IpAddr::V6(address)) => hash(&address.octets()),
        }
    }
}

/// FNV-1a, and its bits mixed: the same on every machine and in every version.
fn hash(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    mix(bytes.iter().fold(0xcbf2_9ce4_8422_2325, step))
}

/// Every bit of the number changes half of the result's bits (the last step of MurmurHash3).
pub fn mix(mut number: u64) -> u64 {
    number ^= number >> 33;
    number = number.wrapping_mul(0xff51_afd7_ed55_8ccd);
    number ^= number >> 33;
    number = number.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    number ^ (number >> 33)
}

/// Where a worker's lots begin; never 0.
pub fn seed() -> u64 {
    RandomState::new().hash_one(0) | 1
}

/// For each unit of weight: shares differ from the weights by some 6 percent.
const POINTS: u64 = 256;

/// Two megabytes for a pool; reached with a sum of weights of 512.
const MOST_POINTS: u64 = 1 << 17;

/// Enough to step over a few endpoints that are out.
const STEPS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn owner(ring: &Ring, key: u64) -> usize {
        ring.find(mix(key), 10, &|_| true).unwrap()
    }

    #[test]
    fn an_endpoint_that_leaves_moves_its_own_keys_alone() {
        let labels = ["a:1", "b:1", "c:1", "d:1", "e:1"];
        let five = Ring::new(&labels, &[1; 5]);
        let four = Ring::new(&labels[..4], &[1; 4]);
        let mut moved = 0;
        for key in 0..10_000 {
            let before = owner(&five, key);
            if before == 4 {
                moved += 1;
            } else {
                assert_eq!(owner(&four, key), before);
            }
        }
        assert!((1600..2400).contains(&moved), "{moved} of 10000");
    }

    #[test]
    fn shares_follow_weights() {
        let ring = Ring::new(&["a:1", "b:1", "c:1"], &[1, 2, 0]);
        let counts = (0..30_000).fold([0; 3], |mut counts, key| {
            counts[owner(&ring, key)] += 1;
            counts
        });
        assert!((8500..11_500).contains(&counts[0]), "{counts:?}");
        assert_eq!(counts[2], 0);
    }

    #[test]
    fn an_endpoint_that_is_out_gives_its_keys_to_several_and_takes_them_back() {
        let ring = Ring::new(&["a:1", "b:1", "c:1", "d:1"], &[1; 4]);
        let mut heirs = [0; 4];
        for key in 0..4000 {
            let before = owner(&ring, key);
            let now = ring.find(mix(key), 4, &|place| place != 0).unwrap();
            assert!(before == 0 || now == before);
            heirs[now] += usize::from(before == 0);
        }
        assert!(heirs[1..].iter().all(|heir| *heir > 200), "{heirs:?}");
    }

    #[test]
    fn nobody_is_found_where_nobody_may_be_next() {
        let ring = Ring::new(&["a:1", "b:1"], &[1, 1]);
        assert_eq!(ring.find(7, 2, &|_| false), None);
        assert_eq!(Ring::new(&[], &[]).find(7, 0, &|_| true), None);
        assert_eq!(Ring::new(&["a:1"], &[0]).find(7, 1, &|_| true), None);
    }

    #[test]
    fn huge_weights_stay_within_the_bound() {
        let labels: Vec<String> = (0..50).map(|n| format!("10.0.0.{n}:80")).collect();
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        let ring = Ring::new(&labels, &[1000; 50]);
        assert!(ring.0.len() as u64 <= MOST_POINTS + 50);
    }

    #[test]
    fn a_missing_field_leaves_the_address() {
        let client: IpAddr = "192.0.2.1".parse().unwrap();
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
        let header = KeySource::new(&HashKey::Header("x-user".to_owned()));
        let mut fields = Fields::new();
        let address = header.key(Some(&fields), client);
        assert_eq!(address, header.key(None, mapped));
        fields.insert(HeaderName::from_static("x-user"), HeaderValue::from_static("anna"));
        let anna = header.key(Some(&fields), client);
        assert_ne!(anna, address);
        assert_eq!(anna, header.key(Some(&fields), "192.0.2.9".parse().unwrap()));
        let cookie = KeySource::new(&HashKey::Cookie("s".to_owned()));
        fields.insert(HeaderName::from_static("cookie"), HeaderValue::from_static("t=1; s=anna"));
        assert_eq!(cookie.key(Some(&fields), client), anna);
    }
}
