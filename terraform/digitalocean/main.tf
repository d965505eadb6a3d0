provider "digitalocean" {
  token = var.do_token
}

locals {
  anywhere = ["0.0.0.0/0", "::/0"]

  # What a name is called inside of its zone.
  host     = var.domain == var.dns_zone ? "@" : trimsuffix(var.domain, ".${var.dns_zone}")
  wildcard = var.domain == var.dns_zone ? "*" : "*.${local.host}"
}

resource "digitalocean_tag" "preview" {
  name = var.project_name
}

resource "digitalocean_ssh_key" "preview" {
  name       = var.project_name
  public_key = trimspace(var.ssh_public_key)
}

resource "digitalocean_droplet" "preview" {
  name       = var.project_name
  image      = var.image
  region     = var.region
  size       = var.droplet_size
  ssh_keys   = [digitalocean_ssh_key.preview.fingerprint]
  tags       = [digitalocean_tag.preview.id]
  monitoring = true
  ipv6       = false

  # A server that can be reached by its key, and no more: the rest is the Ansible roles' business.
  user_data = <<-CLOUD_INIT
    #cloud-config
    ssh_pwauth: false
    disable_root: false
  CLOUD_INIT

  # These count when it is made. Changing one later would replace the server, and everything on it.
  lifecycle {
    ignore_changes = [image, ssh_keys, user_data]
  }
}

# An address of its own: it stays the same when the server is replaced.
resource "digitalocean_reserved_ip" "preview" {
  region = var.region
}

resource "digitalocean_reserved_ip_assignment" "preview" {
  ip_address = digitalocean_reserved_ip.preview.ip_address
  droplet_id = digitalocean_droplet.preview.id
}

resource "digitalocean_firewall" "preview" {
  name        = var.project_name
  droplet_ids = [digitalocean_droplet.preview.id]

  inbound_rule {
    protocol         = "tcp"
    port_range       = "22"
    source_addresses = var.ssh_from
  }

  inbound_rule {
    protocol         = "tcp"
    port_range       = "80"
    source_addresses = local.anywhere
  }

  inbound_rule {
    protocol         = "tcp"
    port_range       = "443"
    source_addresses = local.anywhere
  }

  outbound_rule {
    protocol              = "tcp"
    port_range            = "1-65535"
    destination_addresses = local.anywhere
  }

  outbound_rule {
    protocol              = "udp"
    port_range            = "1-65535"
    destination_addresses = local.anywhere
  }

  outbound_rule {
    protocol              = "icmp"
    destination_addresses = local.anywhere
  }
}

resource "digitalocean_record" "host" {
  count  = var.dns_zone == "" ? 0 : 1
  domain = var.dns_zone
  type   = "A"
  name   = local.host
  value  = digitalocean_reserved_ip.preview.ip_address
  ttl    = 300
}

resource "digitalocean_record" "previews" {
  count  = var.dns_zone == "" ? 0 : 1
  domain = var.dns_zone
  type   = "A"
  name   = local.wildcard
  value  = digitalocean_reserved_ip.preview.ip_address
  ttl    = 300
}
