//! Who may come: networks that are allowed, and networks that are not (SPEC PX-4).

use std::net::IpAddr;
use std::net::Ipv4Addr;

use ipnet::IpNet;

/// `allow` and `deny` of a service.
#[derive(Debug)]
pub struct Access {
    /// `None`: everybody who is not denied.
    allow: Option<Networks>,
    deny: Networks,
}

/// A set of addresses, as ranges without gaps or overlaps between them: looking up one of 10,000
/// takes 14 comparisons.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Networks {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
}

#[derive(Debug, Default, Eq, PartialEq)]
struct Ranges<T> {
    starts: Box<[T]>,
    /// The last address of each.
    ends: Box<[T]>,
}

impl Access {
    /// Compiles both lists; `None` where neither says anything.
    pub fn compile(allow: &[IpNet], deny: &[IpNet]) -> Option<Self> {
        if allow.is_empty() && deny.is_empty() {
            return None;
        }
        let allow = (!allow.is_empty()).then(|| Networks::new(allow));
        Some(Self { allow, deny: Networks::new(deny) })
    }

    /// Whether this client may come: `deny` decides before `allow`.
    pub fn admits(&self, client: IpAddr) -> bool {
        !self.deny.contains(client)
            && self.allow.as_ref().is_none_or(|allow| allow.contains(client))
    }
}

impl Networks {
    /// A set of what these networks cover. An IPv4 network that is written as IPv6
    /// (`::ffff:10.0.0.0/104`) is that IPv4 network; `::/0` is all of IPv6 and nothing of IPv4.
    pub fn new(networks: &[IpNet]) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for network in networks {
            match (network.network(), network.broadcast()) {
                (IpAddr::V4(first), IpAddr::V4(last)) => v4.push((first.into(), last.into())),
                (IpAddr::V6(first), IpAddr::V6(last)) => {
                    match (first.to_ipv4_mapped(), last.to_ipv4_mapped()) {
                        (Some(first), Some(last)) => v4.push((first.into(), last.into())),
                        _ => v6.push((first.into(), last.into())),
                    }
                }
                // A network is of one family.
                (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {}
            }
        }
        Self { v4: Ranges::new(v4), v6: Ranges::new(v6) }
    }

    /// Whether one of them has this address; an IPv4 client of a dual-stack socket is IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(v4) => self.v4.contains(Ipv4Addr::into(v4)),
            IpAddr::V6(v6) => self.v6.contains(v6.into()),
        }
    }
}

impl<T: Copy + Ord> Ranges<T> {
    fn new(mut ranges: Vec<(T, T)>) -> Self {
        ranges.sort_unstable();
        let mut apart: Vec<(T, T)> = Vec::with_capacity(ranges.len());
        for (start, end) in ranges {
            match apart.last_mut() {
                Some((_, last)) if start <= *last => *last = end.max(*last),
                _ => apart.push((start, end)),
            }
        }
        let (starts, ends): (Vec<T>, Vec<T>) = apart.into_iter().unzip();
        Self { starts: starts.into(), ends: ends.into() }
    }

    fn contains(&self, address: T) -> bool {
        let behind = self.starts.partition_point(|start| *start <= address);
        behind.checked_sub(1).is_some_and(|index| address <= self.ends[index])
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use proptest::prelude::*;

    use super::*;

    fn networks(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().expect("a network")).collect()
    }

    fn admits(allow: &[&str], deny: &[&str], client: &str) -> bool {
        let access = Access::compile(&networks(allow), &networks(deny)).expect("says something");
        access.admits(client.parse().expect("an address"))
    }

    #[test]
    fn deny_decides_before_allow() {
        let (allow, deny) = (&["10.0.0.0/8", "2001:db8::/32"], &["10.1.0.0/16"]);
        for (client, is_admitted) in [
            ("10.0.0.1", true),
            ("10.1.0.1", false),
            ("10.2.0.0", true),
            ("11.0.0.0", false),
            ("2001:db8::1", true),
            ("2001:db9::1", false),
        ] {
            assert_eq!(admits(allow, deny, client), is_admitted, "{client}");
        }
        assert!(admits(&[], deny, "192.0.2.1"), "without `allow` everybody else may come");
        assert!(Access::compile(&[], &[]).is_none());
    }

    #[test]
    fn ipv4_is_the_same_in_both_ways_to_write_it() {
        assert!(admits(&["10.0.0.0/8"], &[], "::ffff:10.0.0.1"));
        assert!(admits(&["::ffff:10.0.0.0/104"], &[], "10.0.0.1"));
        assert!(!admits(&["::/0"], &[], "10.0.0.1"));
        assert!(!admits(&[], &["0.0.0.0/0"], "::ffff:10.0.0.1"));
    }

    proptest! {
        #[test]
        fn the_ranges_agree_with_the_networks(
            nets in prop::collection::vec((any::<u32>(), 0u8..=32, any::<bool>()), 0..60),
            near in prop::collection::vec((any::<prop::sample::Index>(), -2i64..=2), 1..40),
        ) {
            let nets: Vec<IpNet> = nets.iter().map(|(bits, prefix, is_v6)| {
                let v4 = Ipv4Addr::from(*bits);
                if *is_v6 {
                    let address = Ipv6Addr::from(u128::from(*bits) << 96);
                    IpNet::new(address.into(), *prefix).expect("a network")
                } else {
                    IpNet::new(v4.into(), *prefix).expect("a network")
                }
            }).collect();
            let set = Networks::new(&nets);
            for (which, by) in near {
                let edge = if nets.is_empty() { 7 } else {
                    match which.get(&nets).network() {
                        IpAddr::V4(v4) => u32::from(v4),
                        IpAddr::V6(v6) => (u128::from(v6) >> 96) as u32,
                    }
                };
                let bits = edge.wrapping_add_signed(by as i32);
                for address in [
                    IpAddr::from(Ipv4Addr::from(bits)),
                    IpAddr::from(Ipv6Addr::from(u128::from(bits) << 96 | 1)),
                ] {
                    let expected = nets.iter().any(|net| net.contains(&address));
                    prop_assert_eq!(set.contains(address), expected, "{}", address);
                }
            }
        }
    }
}
