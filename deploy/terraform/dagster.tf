# Dagster in one task: web server, daemon, both code servers, MLflow, reports; the topics are made before they start. It
# takes the place of MWAA: schedules, sensors, retries and the run queue are Dagster's own. Containers of a task share
# their network, so they find each other at 127.0.0.1. Commands and limits are those of ../compose/compose.yaml.

locals {
  dagster_containers = {
    settings = { # the image's own dagster.yaml, and compose's workspace with the address that holds here
      command           = ["sh", "-c", "cp /app/deploy/dagster.yaml /opt/dagster/ && printenv WORKSPACE > /opt/dagster/workspace.yaml"]
      essential         = false
      cpu               = 64
      memory            = 128
      memoryReservation = 64
      environment       = [{ name = "WORKSPACE", value = replace(file("${path.module}/../compose/workspace.yaml"), "/host: [a-z-]+/", "host: 127.0.0.1") }]
      secrets           = []
      restartPolicy     = { enabled = false }
    }

    topics = { # makes the platform's topics and ends
      command           = ["crp", "kafka", "up"]
      essential         = false
      cpu               = 128
      memory            = 512
      memoryReservation = 256
      restartPolicy     = { enabled = false }
    }

    code-platform = { # its runs are processes in this container, two batch runs at most
      command           = ["dagster", "code-server", "start", "-m", "credit_risk_platform.definitions", "-h", "0.0.0.0", "-p", "4266", "--log-format", "json"]
      cpu               = 2048
      memory            = 8192
      memoryReservation = 2048
      dependsOn         = [{ containerName = "settings", condition = "SUCCESS" }]
      healthCheck = {
        command     = ["CMD", "dagster", "api", "grpc-health-check", "-p", "4266"]
        interval    = 60
        timeout     = 20
        retries     = 3
        startPeriod = 90
      }
    }

    code-streaming = {
      command           = ["python", "-m", "credit_risk_platform.cli.code_server", "-h", "0.0.0.0", "-p", "4267", "--log-format", "json"]
      cpu               = 512
      memory            = 3072
      memoryReservation = 512
      dependsOn = [
        { containerName = "settings", condition = "SUCCESS" },
        { containerName = "topics", condition = "SUCCESS" },
      ]
      healthCheck = {
        command     = ["CMD", "dagster", "api", "grpc-health-check", "-p", "4267"]
        interval    = 60
        timeout     = 20
        retries     = 3
        startPeriod = 90
      }
    }

    dagster-webserver = { # no sign-in of its own: only operators' sessions reach it
      command           = ["dagster-webserver", "-h", "0.0.0.0", "-p", "3000", "-w", "/opt/dagster/workspace.yaml", "--log-format", "json"]
      cpu               = 256
      memory            = 1024
      memoryReservation = 512
      portMappings      = [{ containerPort = 3000, protocol = "tcp" }]
      dependsOn         = local.locations
      healthCheck = {
        command     = ["CMD", "python", "-c", "import urllib.request as web; web.urlopen('http://127.0.0.1:3000/server_info', timeout=4)"]
        interval    = 15
        timeout     = 5
        retries     = 4
        startPeriod = 60
      }
    }

    dagster-daemon = {
      command           = ["dagster-daemon", "run", "-w", "/opt/dagster/workspace.yaml", "--log-format", "json"]
      cpu               = 256
      memory            = 1024
      memoryReservation = 512
      dependsOn         = local.locations
      healthCheck = {
        command     = ["CMD", "dagster-daemon", "liveness-check"]
        interval    = 60
        timeout     = 20
        retries     = 3
        startPeriod = 90
      }
    }

    mlflow = { # shows what runs record in PostgreSQL and below the home; when it ails, Dagster goes on
      command           = ["mlflow", "server", "--host", "0.0.0.0", "--port", "5000", "--workers", "1"]
      essential         = false
      cpu               = 256
      memory            = 1024
      memoryReservation = 512
      environment       = concat(local.environment, [{ name = "MLFLOW_SERVER_ENABLE_JOB_EXECUTION", value = "false" }])
      portMappings      = [{ containerPort = 5000, protocol = "tcp" }]
      healthCheck = {
        command     = ["CMD", "python", "-c", "import urllib.request as web; web.urlopen('http://127.0.0.1:5000/health', timeout=4)"]
        interval    = 15
        timeout     = 5
        retries     = 4
        startPeriod = 60
      }
    }

    reports = { # compose serves them from the home; here they lie in the bucket, so the platform's own server reads them
      command           = ["python", "-m", "credit_risk_platform.cli.reports", "0.0.0.0", "8010"]
      essential         = false
      cpu               = 128
      memory            = 256
      memoryReservation = 128
      portMappings      = [{ containerPort = 8010, protocol = "tcp" }]
      healthCheck = {
        command     = ["CMD", "python", "-c", "import urllib.request as web; web.urlopen('http://127.0.0.1:8010/', timeout=4)"]
        interval    = 30
        timeout     = 5
        retries     = 4
        startPeriod = 30
      }
    }
  }

  locations = [
    { containerName = "code-platform", condition = "HEALTHY" },
    { containerName = "code-streaming", condition = "HEALTHY" },
  ]
}

resource "aws_ecs_task_definition" "dagster" {
  family                   = "${local.name}-dagster"
  requires_compatibilities = ["EC2"]
  network_mode             = "awsvpc"
  task_role_arn            = aws_iam_role.of["platform"].arn
  execution_role_arn       = aws_iam_role.of["start"].arn

  container_definitions = jsonencode([
    for name, own in local.dagster_containers :
    merge(local.container, { name = name, mountPoints = [local.home, local.books], secrets = local.dagster_secrets }, own)
  ])

  volume {
    name      = "home"
    host_path = "${local.disk}/home"
  }

  volume {
    name      = "dagster"
    host_path = "${local.disk}/dagster"
  }
}

resource "aws_ecs_service" "dagster" {
  name            = "dagster"
  cluster         = aws_ecs_cluster.platform.id
  task_definition = aws_ecs_task_definition.dagster.arn
  launch_type     = "EC2"
  desired_count   = var.started ? 1 : 0

  # The old one goes first: two daemons would start every run twice.
  deployment_minimum_healthy_percent = 0
  deployment_maximum_percent         = 100

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = [aws_subnet.private[0].id]
    security_groups  = [aws_security_group.of["dagster"].id]
    assign_public_ip = false
  }

  service_registries { # dagster.credit-risk.internal, for operators' forwarded ports
    registry_arn = aws_service_discovery_service.dagster.arn
  }

  depends_on = [aws_iam_role_policy.of, aws_msk_scram_secret_association.events, aws_volume_attachment.home]
}

resource "aws_service_discovery_private_dns_namespace" "platform" {
  name = "${local.name}.internal"
  vpc  = aws_vpc.platform.id
}

resource "aws_service_discovery_service" "dagster" {
  name = "dagster"

  dns_config {
    namespace_id = aws_service_discovery_private_dns_namespace.platform.id

    dns_records {
      type = "A"
      ttl  = 10
    }
  }
}
