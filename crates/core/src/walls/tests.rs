//! The rules' text as a snapshot, and what their order has to be.

use super::*;

fn walls() -> Walls {
    Walls {
        instance: "0123456789ab".parse().unwrap(),
        previews: "10.222.0.0/16".parse().unwrap(),
        builds: Some("docker0".to_owned()),
        resolvers: vec![Ipv4Addr::new(10, 0, 0, 53)],
        allow: vec!["10.0.0.5:5432".parse().unwrap(), "203.0.113.0/24".parse().unwrap()],
        egress: ByTrust { member: Egress::Allow, stranger: Egress::Deny },
    }
}

/// The rules of one chain of the first look, in their order.
fn rules(walls: &Walls, place: Place) -> Vec<String> {
    let begin = format!("-A {} ", walls.chain(place));
    let [first, _] = walls.v4();
    first.chains.lines().filter_map(|line| line.strip_prefix(&begin)).map(str::to_owned).collect()
}

#[test]
fn the_rules_of_an_installation() {
    let shown = |rules: Rules| {
        let jumps = rules.jumps.iter().map(|jump| format!("{:?} {}\n", jump.from, jump.rule.join(" ")));
        format!("{}{}", rules.chains, jumps.collect::<String>())
    };
    let [first, second] = walls().v4().map(shown);
    insta::assert_snapshot!(format!("{first}\n{second}\n{}", shown(walls().v6())));
}

#[test]
fn the_second_look_forbids_what_the_first_does() {
    let [first, second] = walls().v4();
    let out = |rules: &Rules| -> Vec<String> {
        let begin = format!("-A {} ", walls().chain(Place::Forward));
        let refusal = rules.table.refusal();
        rules
            .chains
            .lines()
            .filter_map(|line| line.strip_prefix(&begin))
            .map(|rule| rule.replace(refusal, "no"))
            .collect()
    };
    assert_eq!(out(&first), out(&second));
    let forwarded = |rules: &Rules| -> Vec<Jump> {
        rules.jumps.iter().filter(|jump| jump.from == Place::Forward).cloned().collect()
    };
    assert_eq!(forwarded(&first), second.jumps);
}

#[test]
fn exceptions_come_before_what_they_are_exceptions_of() {
    for place in [Place::Forward, Place::Input] {
        let rules = rules(&walls(), place);
        let refuses = |rule: &&String| rule.contains("REJECT") && !rule.contains("physdev");
        let refusal = rules.iter().position(|rule| refuses(&rule)).unwrap();
        for exception in ["ESTABLISHED", "10.0.0.53/32 -p udp --dport 53", "10.0.0.5/32 -p tcp --dport 5432"] {
            assert!(
                rules.iter().position(|rule| rule.contains(exception)).unwrap() < refusal,
                "{place:?}: {exception}"
            );
        }
    }
    assert_eq!(
        rules(&walls(), Place::Input).last().unwrap(),
        Table::Filter.refusal(),
        "the host's own services end it"
    );
}

#[test]
fn each_trust_has_its_own_word_about_the_internet() {
    let refusals = |member, stranger| {
        let rules = rules(&Walls { egress: ByTrust { member, stranger }, ..walls() }, Place::Forward);
        let stands = |begin: &str| rules.iter().any(|rule| rule.starts_with(begin));
        (stands("-s 10.222.0.0/16 ! -i br-0123s+ -j REJECT"), stands("-i br-0123s+ -j REJECT"))
    };
    assert_eq!(refusals(Egress::Allow, Egress::Allow), (false, false));
    assert_eq!(refusals(Egress::Allow, Egress::Deny), (false, true));
    assert_eq!(refusals(Egress::Deny, Egress::Allow), (true, false));
    assert_eq!(refusals(Egress::Deny, Egress::Deny), (true, true));
}

#[test]
fn names_fit_into_the_kernel_s_limits() {
    let walls = walls();
    for place in [Place::Forward, Place::Input] {
        assert!(walls.chain(place).len() <= 28);
    }
    let last = walls.previews.preview(4095).unwrap();
    assert_eq!(bridge_name(&walls.instance, Trust::Stranger, last), "br-0123s0adefff");
    let widest = "192.168.255.240/28".parse().unwrap();
    let name = bridge_name(&walls.instance, Trust::Member, widest);
    assert!(name.len() <= 15 && name.starts_with("br-0123m"), "{name}");
}

#[test]
fn exceptions_are_ipv4_with_or_without_a_port() {
    for (text, conditions) in [
        ("10.0.0.5", vec!["-d 10.0.0.5/32"]),
        ("10.0.0.0/8", vec!["-d 10.0.0.0/8"]),
        ("0.0.0.0/0:443", vec!["-d 0.0.0.0/0 -p udp --dport 443", "-d 0.0.0.0/0 -p tcp --dport 443"]),
    ] {
        assert_eq!(text.parse::<Allowed>().unwrap().conditions(), conditions);
    }
    for bad in [
        "",
        "host",
        "10.0.0.5:0",
        "10.0.0.5:http",
        "10.0.0.5:",
        "10.0.0.0/33",
        "10.0.0.0/+8",
        "::1",
        "fd00::/8",
        "10.0.0.5 -j ACCEPT",
    ] {
        assert_eq!(bad.parse::<Allowed>(), Err(InvalidAllowed::Form), "{bad}");
    }
    let error = "10.0.0.5/8".parse::<Allowed>().unwrap_err();
    assert!(error.to_string().contains("10.0.0.0/8"), "{error}");
}
