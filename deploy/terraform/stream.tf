# Kafka: MSK with SASL/SCRAM on port 9096. Topics are made by the task (`crp kafka up`), with these defaults of the cluster.

resource "aws_msk_configuration" "events" {
  name              = local.name
  server_properties = <<-PROPERTIES
    auto.create.topics.enable=false
    default.replication.factor=3
    min.insync.replicas=2
    unclean.leader.election.enable=false
  PROPERTIES
}

resource "aws_msk_cluster" "events" {
  cluster_name           = local.name
  kafka_version          = var.kafka_version
  number_of_broker_nodes = 3

  broker_node_group_info {
    instance_type   = var.broker_type
    client_subnets  = aws_subnet.private[*].id
    security_groups = [aws_security_group.of["kafka"].id]

    storage_info {
      ebs_storage_info {
        volume_size = 100
      }
    }
  }

  configuration_info {
    arn      = aws_msk_configuration.events.arn
    revision = aws_msk_configuration.events.latest_revision
  }

  client_authentication {
    unauthenticated = false

    sasl {
      scram = true
    }
  }

  encryption_info {
    encryption_at_rest_kms_key_arn = aws_kms_key.platform.arn

    encryption_in_transit {
      client_broker = "TLS"
      in_cluster    = true
    }
  }

  logging_info {
    broker_logs {
      cloudwatch_logs {
        enabled   = true
        log_group = aws_cloudwatch_log_group.of["kafka"].name
      }
    }
  }
}

resource "aws_msk_scram_secret_association" "events" {
  count           = var.started ? 1 : 0 # MSK takes a secret only with its value
  cluster_arn     = aws_msk_cluster.events.arn
  secret_arn_list = concat([aws_secretsmanager_secret.kafka.arn], var.producer_secret_arns)
}
