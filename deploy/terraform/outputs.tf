# What an operator needs next; none of it is a secret.

output "registry" {
  description = "Where the image is pushed to."
  value       = aws_ecr_repository.platform.repository_url
}

output "load_balancer" {
  description = "What the host names of `hosts` are aliases of."
  value       = aws_lb.front.dns_name
}

output "machine" {
  description = "Target of operators' sessions."
  value       = aws_instance.machine.id
}

output "database" {
  description = "PostgreSQL's host, reached through the machine."
  value       = aws_db_instance.books.address
}

output "database_administrator" {
  description = "Secret with the administrator's password, made and changed by RDS."
  value       = aws_db_instance.books.master_user_secret[0].secret_arn
}

output "kafka" {
  description = "For systems that send events: SASL_SSL with SCRAM-SHA-512."
  value       = aws_msk_cluster.events.bootstrap_brokers_sasl_scram
}
