//! Clusters and their backends.

use super::{
    DURATION_OR_OFF, HEALTH, KEY, Key, OFF, OUTLIER, STICKY, STRATEGY, Section, Shape,
    TEXT_OR_TEXTS,
};

pub(super) const BACKENDS: Shape = Shape::AnyOf(&[
    Shape::Text,
    Shape::List(&Shape::AnyOf(&[Shape::Text, Shape::Table(&BACKEND)])),
]);

const LATER: &[&str] = &["drain", "tls", "http", "limits", "protocol"];

pub(super) static CLUSTER: Section = Section {
    also: Some(&DEFAULTS),
    later: LATER,
    ..Section::new(
        "cluster",
        "A set of backends and how to choose among them.",
        &[
            Key::new("backends", BACKENDS, "who answers its requests"),
            Key::new(
                "discover",
                Shape::AnyOf(&[Shape::Table(&DISCOVER), Shape::List(&Shape::Table(&DISCOVER))]),
                "who tells it of more backends",
            ),
        ],
    )
};

pub(super) static DEFAULTS: Section = Section {
    elsewhere: &[(
        &["backends", "discover"],
        "is a matter of each cluster: set it in `[cluster.NAME]`",
    )],
    later: LATER,
    ..Section::new(
        "defaults",
        "What every cluster starts from.",
        &[
            Key::new(
                "strategy",
                Shape::AnyOf(&[Shape::Text, Shape::Table(&STRATEGY)]),
                "how a backend is chosen",
            )
            .or("\"least-conn\""),
            Key::new(
                "sticky",
                Shape::AnyOf(&[OFF, Shape::Table(&STICKY)]),
                "a cookie that binds clients to backends",
            ),
            Key::new(
                "health",
                Shape::AnyOf(&[OFF, Shape::Table(&HEALTH)]),
                "how backends are checked",
            ),
            Key::new(
                "outlier",
                Shape::AnyOf(&[OFF, Shape::Table(&OUTLIER)]),
                "when a backend is ejected that does worse than the others",
            ),
            Key::new(
                "slow_start",
                Shape::AnyOf(&[OFF, Shape::Duration, Shape::Table(&SLOW_START)]),
                "how long a new backend takes to get its whole share",
            ),
            Key::new(
                "panic_threshold",
                Shape::Share,
                "below this share of usable backends all are used",
            )
            .or("\"0%\""),
            Key::new(
                "tiers_overflow",
                Shape::AnyOf(&[Shape::Boolean, Shape::Number(1.0, 100.0)]),
                "a tier of which a part is out gives a part of its requests to the next one",
            )
            .or("false"),
            Key::new(
                "zone_aware",
                Shape::AnyOf(&[OFF, Shape::Text]),
                "the balancer's own zone, whose backends are preferred",
            ),
            Key::new(
                "subset",
                Shape::AnyOf(&[OFF, Shape::Table(&SUBSET)]),
                "of very many backends, those that this balancer uses",
            ),
            Key::new("retry", Shape::Table(&RETRY), "when another backend is tried").or("{}"),
            MAX_FAILS,
            FAIL_TIMEOUT,
            Key::new("timeout", Shape::Table(&CLUSTER_TIMEOUT), "how long backends may take")
                .or("{}"),
        ],
    )
};

const MAX_FAILS: Key = Key::new(
    "max_fails",
    Shape::Integer(0, 1_000_000),
    "failures within `fail_timeout` that take a backend out; 0: never; 3 in a row unless set",
);

const FAIL_TIMEOUT: Key =
    Key::new("fail_timeout", Shape::Duration, "how long a backend that failed is left out")
        .or("\"10s\"");

pub(super) static BACKEND: Section = Section {
    later: &["labels", "route", "drain"],
    ..Section::new(
        "backend",
        "A backend.",
        &[
            Key::new("address", Shape::Text, "`ip:port` or `name:port`").required(),
            Key::new("name", Shape::Text, "what it is called; its address unless set"),
            Key::new("weight", Shape::Integer(1, 65_535), "its share").or("1"),
            Key::new("tier", Shape::Integer(0, 255), "used when nobody of a lower tier can be")
                .or("0"),
            Key::new("backup", Shape::Boolean, "the same as `tier = 1`").or("false"),
            Key::new("spare", Shape::Boolean, "used while another of its tier is out").or("false"),
            Key::new("zone", Shape::Text, "where it is"),
            Key::new(
                "state",
                Shape::Words(&["enabled", "draining", "disabled"]),
                "`draining` keeps clients bound to it, `disabled` serves nobody",
            )
            .or("\"enabled\""),
            Key::new("max_in_flight", Shape::Integer(1, 4_294_967_295), "requests at a time"),
            MAX_FAILS,
            Key::new("fail_timeout", Shape::Duration, "as that of its cluster"),
        ],
    )
};

pub(super) static DISCOVER: Section = Section {
    stands_for: Some("file"),
    later: &["docker", "serf", "scan", "dns", "etcd", "consul", "kubernetes", "http"],
    ..Section::new(
        "discover",
        "Who tells of backends.",
        &[
            Key::new("file", Shape::Text, "a file of backends, or a folder with one file each"),
            Key::new("env", Shape::Text, "a variable with addresses"),
            Key::new("port", Shape::Integer(1, 65_535), "with `env`: of addresses without one"),
            Key::new("announce", Shape::Text, "a UDP address where nodes announce themselves"),
            Key::new("gossip", Shape::Text, "a UDP address, to be a member among nodes"),
            Key::new(
                "join",
                TEXT_OR_TEXTS,
                "with `gossip`: members, `host:port`, to ask for the others",
            ),
            Key::new(
                "key",
                KEY,
                "with `announce` or `gossip`: the key of all nodes, 32 bytes in base64",
            )
            .secret(),
            Key::new(
                "keys",
                Shape::AnyOf(&[
                    Shape::Table(&ANNOUNCE_KEY),
                    Shape::List(&Shape::Table(&ANNOUNCE_KEY)),
                ]),
                "with `announce`: several keys, and what each may announce; with `gossip`: one that seals, and one it replaces",
            ),
            Key::new("multicast", TEXT_OR_TEXTS, "with `announce`: groups that are heard there"),
            Key::new("interface", Shape::Text, "with `multicast`: on which interface"),
            Key::new(
                "max_skew",
                Shape::Duration,
                "with `announce` or `gossip`: how far the clock of a node may be from ours; 30s unless set",
            ),
            Key::new(
                "advertise",
                Shape::Text,
                "with `gossip`: where others reach us, if that is another address",
            ),
            Key::new(
                "profile",
                Shape::Words(&["lan", "fast", "faster"]),
                "with `gossip`: how fast deaths are noticed; \"fast\" unless set",
            ),
            Key::new("insecure", Shape::Boolean, "with `gossip`: whoever can send is believed"),
            Key::new("allow", Shape::Table(&ALLOW), "which backends are taken"),
        ],
    )
};

pub(super) static ANNOUNCE_KEY: Section = Section::new(
    "announce_key",
    "A key of nodes that announce themselves, and what it permits.",
    &[
        Key::new("key", KEY, "32 bytes in base64").required().secret(),
        Key::new("networks", TEXT_OR_TEXTS, "where their backends must be; as `allow` unless set"),
        Key::new("max_weight", Shape::Integer(1, 65_535), "the largest weight one may ask for"),
        Key::new("max_backends", Shape::Integer(1, 1_000_000), "how many there may be"),
        Key::new("relay", Shape::Boolean, "whether they may speak for other addresses").or("false"),
    ],
);

pub(super) static ALLOW: Section = Section::new(
    "allow",
    "Which backends a source may tell of.",
    &[
        Key::new("networks", TEXT_OR_TEXTS, "where they must be; anywhere unless set"),
        Key::new("max_backends", Shape::Integer(1, 1_000_000), "how many are taken"),
        Key::new(
            "max_weight",
            Shape::Integer(1, 65_535),
            "the largest weight a backend may ask for",
        ),
    ],
);

pub(super) static RETRY: Section = Section::new(
    "retry",
    "When another backend is tried.",
    &[
        Key::new("attempts", Shape::Integer(1, 255), "backends tried per request, in total")
            .or("2"),
        Key::new(
            "on",
            Shape::List(&Shape::AnyOf(&[
                Shape::Words(&["connect", "reset", "timeout"]),
                Shape::Integer(400, 599),
            ])),
            "after what",
        )
        .or("[\"connect\", \"reset\"]"),
        Key::new("methods", Shape::Words(&["idempotent", "any"]), "for which methods")
            .or("\"idempotent\""),
        Key::new("budget", Shape::Share, "of the first attempts of the last ten seconds")
            .or("\"20%\""),
    ],
);

pub(super) static SUBSET: Section = Section::new(
    "subset",
    "Which of very many backends are used.",
    &[
        Key::new("size", Shape::Integer(1, 1_000_000), "how many, of each tier").required(),
        Key::new(
            "instance",
            Shape::AnyOf(&[Shape::Integer(0, 4_294_967_295), Shape::Text]),
            "the number of this balancer among its like, from 0",
        )
        .required(),
    ],
);

pub(super) static SLOW_START: Section = Section::new(
    "slow_start",
    "How a new backend gets its share.",
    &[
        Key::new("window", Shape::Duration, "after this long it has all").required(),
        Key::new("aggression", Shape::Number(0.1, 100.0), "1 is linear, more is more at first")
            .or("1.0"),
        Key::new("least", Shape::Share, "where it begins").or("\"10%\""),
    ],
);

pub(super) static CLUSTER_TIMEOUT: Section = Section {
    elsewhere: &[(
        &["header", "body_idle", "keep_alive", "send_stall", "shutdown"],
        "is a matter of listeners: set it in `timeout` at top level or of a `[[listener]]`",
    )],
    later: &["tunnel_idle"],
    ..Section::new(
        "cluster_timeout",
        "How long backends may take.",
        &[
            Key::new("connect", Shape::Duration, "to connect; then another backend").or("\"2s\""),
            Key::new("first_byte", Shape::Duration, "to begin to answer; then 504").or("\"30s\""),
            Key::new("idle", Shape::Duration, "between parts of an answer; then cut").or("\"30s\""),
            Key::new("per_try", DURATION_OR_OFF, "for one attempt; then another backend, or 504"),
            Key::new("total", DURATION_OR_OFF, "for all attempts; then 504"),
            Key::new("pool_idle", Shape::Duration, "an unused connection is kept").or("\"30s\""),
        ],
    )
};
