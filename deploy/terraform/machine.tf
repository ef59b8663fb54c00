# The one machine, its cluster, and what every container of ours has in common.

locals {
  disk  = "/srv/credit-risk" # where the home's volume is mounted on the machine
  home  = { sourceVolume = "home", containerPath = "/data", readOnly = false }
  books = { sourceVolume = "dagster", containerPath = "/opt/dagster", readOnly = false }

  environment = [for name, value in merge(local.platform_settings, var.settings) : { name = name, value = value }]

  platform_settings = {
    CRP_HOME                = "/data"
    CRP_TARGET              = "local"
    CRP_PORTFOLIO_SOURCE    = "landing"
    CRP_AUTOMATION_RUNNING  = "true"
    CRP_LOG_FORMAT          = "json"
    CRP_DUCKDB_MEMORY_LIMIT = "3GB"
    CRP_DUCKDB_THREADS      = "2"
    CRP_CUSTOMER_URL        = "https://${var.hosts.customers}"

    CRP_LAKE_URL      = "s3://${aws_s3_bucket.lake.id}/lake"
    CRP_S3_REGION     = var.region
    CRP_S3_ENCRYPTION = "aws:kms"
    CRP_S3_KMS_KEY_ID = aws_kms_key.platform.arn

    KAFKA_BOOTSTRAP_SERVERS = aws_msk_cluster.events.bootstrap_brokers_sasl_scram
    KAFKA_SECURITY_PROTOCOL = "SASL_SSL"
    KAFKA_SASL_MECHANISM    = "SCRAM-SHA-512"
    KAFKA_SASL_USERNAME     = "credit-risk"

    DAGSTER_HOME                       = "/opt/dagster"
    CRP_DAGSTER_CONFIG                 = "/app/deploy/dagster.yaml" # for `crp` commands, which keep theirs in the home
    DAGSTER_GRPC_SHUTDOWN_GRACE_PERIOD = "1"                        # by default a code server waits a minute for sensors in their calls
  }

  container = {
    image                  = "${aws_ecr_repository.platform.repository_url}:${var.image_tag}"
    essential              = true
    user                   = "10001:10001"
    readonlyRootFilesystem = true
    dockerSecurityOptions  = ["no-new-privileges"]
    environment            = local.environment
    restartPolicy          = { enabled = true, restartAttemptPeriod = 60 }
    linuxParameters = {
      initProcessEnabled = true
      capabilities       = { drop = ["ALL"] }
      tmpfs              = [{ containerPath = "/tmp", size = 1024, mountOptions = ["rw", "nosuid", "nodev"] }]
    }
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.of["platform"].name
        awslogs-region        = var.region
        awslogs-stream-prefix = "container"
      }
    }
  }
}

resource "aws_ecs_cluster" "platform" {
  name = local.name

  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

data "aws_ssm_parameter" "machine_image" {
  name = "/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id"
}

resource "aws_instance" "machine" {
  ami                     = data.aws_ssm_parameter.machine_image.insecure_value
  instance_type           = var.machine_type
  subnet_id               = aws_subnet.private[0].id
  vpc_security_group_ids  = [aws_security_group.of["machine"].id]
  iam_instance_profile    = aws_iam_instance_profile.machine.name
  disable_api_termination = true
  ebs_optimized           = true
  monitoring              = true

  user_data = templatefile("${path.module}/machine.sh.tftpl", {
    cluster = local.name
    disk    = local.disk
    volume  = aws_ebs_volume.home.id
  })

  metadata_options {
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  root_block_device {
    volume_type = "gp3"
    encrypted   = true
    kms_key_id  = aws_kms_key.platform.arn
  }

  tags = { Name = local.name }

  lifecycle {
    ignore_changes = [ami] # a newer one takes a stop: terraform apply -replace=aws_instance.machine, in a quiet hour
  }
}

resource "aws_volume_attachment" "home" {
  instance_id                    = aws_instance.machine.id
  volume_id                      = aws_ebs_volume.home.id
  device_name                    = "/dev/sdf"
  stop_instance_before_detaching = true
}
