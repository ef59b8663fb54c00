# PostgreSQL for Dagster's books and MLflow's record. RDS makes, keeps and changes the administrator's password itself; the
# platform's two roles are made once by databases.sql.

resource "aws_db_subnet_group" "books" {
  name       = local.name
  subnet_ids = aws_subnet.private[*].id
}

resource "aws_db_parameter_group" "books" {
  name   = "${local.name}-postgres17"
  family = "postgres17"

  parameter {
    name  = "rds.force_ssl" # whatever a client asks for
    value = "1"
  }
}

resource "aws_db_instance" "books" {
  identifier     = local.name
  engine         = "postgres"
  engine_version = "17"
  instance_class = var.database_type

  username                      = "administrator"
  manage_master_user_password   = true
  master_user_secret_kms_key_id = aws_kms_key.platform.arn

  storage_type          = "gp3"
  allocated_storage     = 50
  max_allocated_storage = 200
  storage_encrypted     = true
  kms_key_id            = aws_kms_key.platform.arn

  multi_az               = true
  publicly_accessible    = false
  db_subnet_group_name   = aws_db_subnet_group.books.name
  vpc_security_group_ids = [aws_security_group.of["database"].id]
  parameter_group_name   = aws_db_parameter_group.books.name
  ca_cert_identifier     = "rds-ca-rsa2048-g1"

  backup_retention_period    = 35
  copy_tags_to_snapshot      = true
  deletion_protection        = true
  skip_final_snapshot        = false
  final_snapshot_identifier  = "${local.name}-final"
  auto_minor_version_upgrade = true

  enabled_cloudwatch_logs_exports = ["postgresql"]
  performance_insights_enabled    = true
  performance_insights_kms_key_id = aws_kms_key.platform.arn

  depends_on = [aws_cloudwatch_log_group.of]
}
