//! Networks as operators write them: `allow`, `deny`, `trusted_proxies`, `proxy_protocol`, `clients`.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::config::complaint::Complaint;
use crate::config::source::Located;
use crate::config::value::Value;

/// A list of networks. Empty, it would mean everybody or nobody, whoever reads it.
pub fn some_networks(value: &Value<'_>) -> Option<Vec<Located<IpNet>>> {
    let networks = networks(value)?;
    if networks.is_empty() {
        let mut help = "name at least one network, or remove the key for everybody".to_owned();
        if value.word_of_table() == "allow" {
            help.push_str("; to shut everybody out, write `deny = [\"0.0.0.0/0\", \"::/0\"]`");
        }
        value.complain(format!("{} is empty", value.name()), "", Some(help));
        return None;
    }
    Some(networks)
}

/// A list of networks; empty: none.
pub fn networks(value: &Value<'_>) -> Option<Vec<Located<IpNet>>> {
    let networks = value.located_list(network)?;
    for (index, network) in networks.iter().enumerate() {
        if let Some(first) = networks[..index].iter().find(|other| other.value == network.value) {
            let message = format!("the network `{}` is named twice", written(&network.value));
            let complaint = Complaint::warning(network.place.clone(), message).label("again");
            let complaint = complaint.see(first.place.clone(), "first here").help("remove one");
            value.document().complain(complaint);
        }
    }
    Some(networks)
}

/// The networks without their places.
pub fn plain(networks: &[Located<IpNet>]) -> Vec<IpNet> {
    networks.iter().map(|network| network.value).collect()
}

/// `"10.0.0.0/8"`, or an address alone, which is a network of one.
pub fn network(value: &Value<'_>) -> Option<IpNet> {
    let text = value.text()?;
    let parsed = match text.parse::<IpAddr>() {
        Ok(address) => Some(IpNet::from(address)),
        Err(_) => text.parse::<IpNet>().ok(),
    };
    let Some(network) = parsed else {
        value.complain(format!("`{text}` is not a network"), "", Some(help(&text)));
        return None;
    };
    if let IpAddr::V6(address) = network.addr()
        && let Some(mapped) = address.to_ipv4_mapped()
    {
        let help = match network.prefix_len().checked_sub(96) {
            Some(length) => format!("write \"{mapped}/{length}\""),
            None => "write the IPv4 network".to_owned(),
        };
        let message = format!("`{text}` is an IPv4 network in the clothes of IPv6");
        value.complain(message, "no client comes from there", Some(help));
        return None;
    }
    if network.trunc() != network {
        let help = format!("write \"{}\", or \"{}\" alone", network.trunc(), network.addr());
        let message = format!("`{text}` has address bits behind its prefix");
        value.complain(message, "one address, or a network?", Some(help));
        return None;
    }
    Some(network)
}

/// A network as it is best written: a network of one as its address.
pub fn written(network: &IpNet) -> String {
    if network.prefix_len() == network.max_prefix_len() {
        network.addr().to_string()
    } else {
        network.to_string()
    }
}

fn help(text: &str) -> String {
    let (address, prefix) = text.split_once('/').unwrap_or((text, ""));
    if matches!(text, "*" | "all" | "any") {
        return "write \"0.0.0.0/0\" for all of IPv4 and \"::/0\" for all of IPv6".to_owned();
    }
    if let (Ok(address), Ok(mask)) = (address.parse(), prefix.parse())
        && let Ok(network) = IpNet::with_netmask(address, mask)
    {
        return format!("write the mask as a length: \"{}\"", network.trunc());
    }
    match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => return "the length of an IPv4 prefix is 0 to 32".to_owned(),
        Ok(IpAddr::V6(_)) => return "the length of an IPv6 prefix is 0 to 128".to_owned(),
        Err(_) => {}
    }
    if let Ok(socket) = text.parse::<std::net::SocketAddr>() {
        return format!("write it without the port: \"{}\"", socket.ip());
    }
    if text.contains('-') && text.split('-').all(|end| end.trim().parse::<IpAddr>().is_ok()) {
        return "write the networks that make up the range, such as \"10.0.0.0/24\"".to_owned();
    }
    "write an address or a network, such as \"192.0.2.7\", \"10.0.0.0/8\" or \"2001:db8::/32\"; \
     names are not looked up"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::any;
    use proptest::proptest;

    use super::*;
    use crate::config::read::testing::reads;
    use crate::config::read::testing::refuses;

    fn read(text: &str) -> IpNet {
        reads(&format!("{text:?}"), network)
    }

    #[test]
    fn an_address_alone_is_a_network_of_one() {
        assert_eq!(read("10.1.2.3"), "10.1.2.3/32".parse().unwrap());
        assert_eq!(read("2001:db8::1"), "2001:db8::1/128".parse().unwrap());
        assert_eq!(read("2001:db8::/32"), "2001:db8::/32".parse().unwrap());
    }

    #[test]
    fn what_is_no_network_is_told_how_to_write_it() {
        let wrong = [
            ("10.1.2.3/8", "write \"10.0.0.0/8\", or \"10.1.2.3\" alone"),
            ("10.0.0.0/33", "0 to 32"),
            ("::/129", "0 to 128"),
            ("10.0.0.0/255.255.0.0", "\"10.0.0.0/16\""),
            ("::ffff:10.0.0.0/104", "\"10.0.0.0/8\""),
            ("10.0.0.1:80", "\"10.0.0.1\""),
            ("10.0.0.1-10.0.0.9", "range"),
            ("all", "0.0.0.0/0"),
            ("office.example.com", "not looked up"),
        ];
        for (text, help) in wrong {
            let told = refuses(&format!("{text:?}"), network);
            assert!(told.contains(help), "{text}: {told}");
        }
    }

    proptest! {
        #[test]
        fn every_network_reads_as_it_is_written(address: IpAddr, length in 0_u8..=128) {
            let length = if address.is_ipv4() { length % 33 } else { length };
            let network = IpNet::new(address, length).expect("a length in range").trunc();
            let mapped =
                matches!(network.addr(), IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
            if !mapped {
                assert_eq!(read(&written(&network)), network);
            }
        }

        #[test]
        fn arbitrary_text_never_panics(text in any::<String>()) {
            let _ = help(&text);
        }
    }
}
