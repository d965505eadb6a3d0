output "server_ip" {
  description = "The server's own address: where SSH and Ansible go."
  value       = digitalocean_droplet.preview.ipv4_address
}

output "reserved_ip" {
  description = "The address that stays: where previews and deliveries come."
  value       = digitalocean_reserved_ip_assignment.preview.ip_address
}

output "droplet_id" {
  description = "What DigitalOcean calls the server."
  value       = digitalocean_droplet.preview.id
}
