//! What DigitalOcean's provider for Terraform documents of the resources that we use: arguments and exported attributes.
//!
//! Source: <https://github.com/digitalocean/terraform-provider-digitalocean/tree/main/docs>, one page per resource.

/// A resource, or a block inside of one.
pub(crate) struct Documented {
    pub(crate) name: &'static str,
    pub(crate) required: &'static [&'static str],
    pub(crate) optional: &'static [&'static str],
    /// Attributes that others may refer to, beside its arguments.
    pub(crate) exported: &'static [&'static str],
    pub(crate) blocks: &'static [Documented],
}

const fn block(name: &'static str, required: &'static [&'static str], optional: &'static [&'static str]) -> Documented {
    Documented { name, required, optional, exported: &[], blocks: &[] }
}

/// `docs/index.md`
pub(crate) const PROVIDER: Documented = block(
    "digitalocean",
    &["token"],
    &[
        "spaces_access_id",
        "spaces_secret_key",
        "api_endpoint",
        "spaces_endpoint",
        "requests_per_second",
        "http_retry_max",
        "http_retry_wait_min",
        "http_retry_wait_max",
    ],
);

/// `docs/resources/*.md`
pub(crate) const RESOURCES: &[Documented] = &[
    Documented {
        exported: &[
            "id",
            "urn",
            "ipv6_address",
            "ipv4_address",
            "ipv4_address_private",
            "locked",
            "price_hourly",
            "price_monthly",
            "disk",
            "vcpus",
            "status",
        ],
        ..block(
            "digitalocean_droplet",
            &["image", "name", "size"],
            &[
                "region",
                "backups",
                "monitoring",
                "ipv6",
                "vpc_uuid",
                "ssh_keys",
                "resize_disk",
                "tags",
                "user_data",
                "volume_ids",
                "droplet_agent",
                "graceful_shutdown",
            ],
        )
    },
    Documented {
        exported: &["id", "total_resource_count", "droplets_count", "images_count", "volumes_count"],
        ..block("digitalocean_tag", &["name"], &[])
    },
    Documented { exported: &["id", "fingerprint"], ..block("digitalocean_ssh_key", &["name", "public_key"], &[]) },
    Documented { exported: &["ip_address", "urn"], ..block("digitalocean_reserved_ip", &["region"], &["droplet_id"]) },
    block("digitalocean_reserved_ip_assignment", &["ip_address"], &["droplet_id"]),
    Documented {
        exported: &["id", "status", "created_at", "pending_changes"],
        blocks: &[
            block(
                "inbound_rule",
                &["protocol"],
                &[
                    "port_range",
                    "source_addresses",
                    "source_droplet_ids",
                    "source_tags",
                    "source_load_balancer_uids",
                    "source_kubernetes_ids",
                ],
            ),
            block(
                "outbound_rule",
                &["protocol"],
                &[
                    "port_range",
                    "destination_addresses",
                    "destination_droplet_ids",
                    "destination_kubernetes_ids",
                    "destination_tags",
                    "destination_load_balancer_uids",
                ],
            ),
        ],
        ..block("digitalocean_firewall", &["name"], &["droplet_ids", "tags"])
    },
    Documented {
        exported: &["id", "fqdn"],
        ..block(
            "digitalocean_record",
            &["type", "domain", "value", "name"],
            &["port", "priority", "weight", "ttl", "flags", "tag"],
        )
    },
];
