variable "do_token" {
  description = "DigitalOcean's API token, with the scopes that docs/SERVER.md names. Give it as TF_VAR_do_token, in no file and on no command line."
  type        = string
  sensitive   = true

  validation {
    condition     = length(trimspace(var.do_token)) >= 32
    error_message = "That is no API token of DigitalOcean's: those have more characters."
  }
}

variable "ssh_public_key" {
  description = "The public key that opens the server, as it stands in id_ed25519.pub."
  type        = string

  validation {
    condition     = can(regex("^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)|sk-ssh-ed25519@openssh\\.com|sk-ecdsa-sha2-nistp256@openssh\\.com) [A-Za-z0-9+/]+=* ?[^\\n]*$", trimspace(var.ssh_public_key)))
    error_message = "Expected the one line of a public key, like `ssh-ed25519 AAAA… me@laptop`."
  }
}

variable "project_name" {
  description = "What everything that is made here is called, and its tag."
  type        = string
  default     = "preview-deployer"

  validation {
    condition     = can(regex("^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$", var.project_name))
    error_message = "Expected at most 40 lower-case letters, digits and hyphens, with a letter first and no hyphen last."
  }
}

variable "region" {
  description = "Where the server is, as DigitalOcean calls it."
  type        = string
  default     = "fra1"

  validation {
    condition     = can(regex("^[a-z]{3}[0-9]$", var.region))
    error_message = "Expected one of DigitalOcean's regions, like `fra1` or `nyc3`."
  }
}

variable "droplet_size" {
  description = "How large it is. The default, with 2 GB of memory and 50 GB of disk, is the smallest that holds a few small previews."
  type        = string
  default     = "s-1vcpu-2gb"

  validation {
    condition     = can(regex("^[a-z0-9]+(-[a-z0-9.]+)+$", var.droplet_size)) && !contains(["s-1vcpu-512mb-10gb", "s-1vcpu-1gb"], var.droplet_size)
    error_message = "Expected one of DigitalOcean's sizes with at least 2 GB of memory, like `s-1vcpu-2gb` or `s-2vcpu-4gb`."
  }
}

variable "image" {
  description = "The system that it starts with: one that the Ansible roles know."
  type        = string
  default     = "debian-12-x64"

  validation {
    condition     = contains(["debian-12-x64", "debian-13-x64", "ubuntu-22-04-x64", "ubuntu-24-04-x64"], var.image)
    error_message = "Expected debian-12-x64, debian-13-x64, ubuntu-22-04-x64 or ubuntu-24-04-x64."
  }
}

variable "ssh_from" {
  description = "Where SSH may come from: IPv4 and IPv6 ranges. Your office's, if it has one of its own."
  type        = list(string)
  default     = ["0.0.0.0/0", "::/0"]

  validation {
    condition     = length(var.ssh_from) > 0 && alltrue([for range in var.ssh_from : can(cidrhost(range, 0))])
    error_message = "Expected at least one range, like 203.0.113.0/24; without any, nobody could set the server up."
  }
}

variable "domain" {
  description = "The name that previews are to have, like previews.example.com: it and every name below it lead to the server. Empty for none."
  type        = string
  default     = ""

  validation {
    condition     = var.domain == "" || can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z]{2,63}$", var.domain))
    error_message = "Expected a name like previews.example.com."
  }
}

variable "dns_zone" {
  description = "The domain at DigitalOcean's name servers in which `domain` is written, like example.com. Empty where its records are kept elsewhere."
  type        = string
  default     = ""

  validation {
    condition     = var.dns_zone == "" || var.domain == var.dns_zone || endswith(var.domain, ".${var.dns_zone}")
    error_message = "The domain has to be the zone itself or a name in it."
  }
}
