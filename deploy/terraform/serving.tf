# API and dashboard: one task, and an internal load balancer by TLS before it. Dagster is in dagster.tf.

locals {
  serving_containers = {
    api = { # alive before there is a champion; /readyz says when it can score
      command           = ["crp", "api", "--host", "0.0.0.0", "--workers", "2"]
      cpu               = 1024
      memory            = 2048
      memoryReservation = 512
      stopTimeout       = 40 # answers that are not in the ledger yet are written on the way out
      portMappings      = [{ containerPort = 8000, protocol = "tcp" }]
      healthCheck = {
        command     = ["CMD", "python", "-c", "import urllib.request as web; web.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
        interval    = 15
        timeout     = 5
        retries     = 4
        startPeriod = 60
      }
    }

    dashboard = { # asks readers for an API key, as its address is not loopback
      command           = ["crp", "dashboard", "--host", "0.0.0.0"]
      cpu               = 512
      memory            = 2048
      memoryReservation = 512
      portMappings      = [{ containerPort = 8501, protocol = "tcp" }]
      dependsOn         = [{ containerName = "api", condition = "HEALTHY" }] # makes the home's first key, where there is none
      healthCheck = {
        command     = ["CMD", "python", "-c", "import urllib.request as web; web.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=4)"]
        interval    = 15
        timeout     = 5
        retries     = 4
        startPeriod = 60
      }
    }
  }
}

resource "aws_ecs_task_definition" "serving" {
  family                   = "${local.name}-serving"
  requires_compatibilities = ["EC2"]
  network_mode             = "awsvpc"
  task_role_arn            = aws_iam_role.of["platform"].arn
  execution_role_arn       = aws_iam_role.of["start"].arn

  container_definitions = jsonencode([
    for name, own in local.serving_containers :
    merge(local.container, { name = name, mountPoints = [local.home], secrets = local.serving_secrets }, own)
  ])

  volume {
    name      = "home"
    host_path = "${local.disk}/home"
  }
}

resource "aws_ecs_service" "serving" {
  name            = "serving"
  cluster         = aws_ecs_cluster.platform.id
  task_definition = aws_ecs_task_definition.serving.arn
  launch_type     = "EC2"
  desired_count   = var.started ? 1 : 0

  # A new version answers before the old one goes: two may work on one home.
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  health_check_grace_period_seconds  = 180

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = [aws_subnet.private[0].id]
    security_groups  = [aws_security_group.of["serving"].id]
    assign_public_ip = false
  }

  dynamic "load_balancer" {
    for_each = local.served

    content {
      target_group_arn = aws_lb_target_group.of[load_balancer.key].arn
      container_name   = load_balancer.key
      container_port   = load_balancer.value.port
    }
  }

  depends_on = [aws_lb_listener.tls, aws_iam_role_policy.of, aws_volume_attachment.home]
}

# ------------------------------------------------------------------------------------------------------- load balancer

locals {
  # /healthz, not /readyz: that waits for a champion, and ECS would start a platform without one anew for ever.
  served = {
    api       = { port = 8000, health = "/healthz" }
    dashboard = { port = 8501, health = "/_stcore/health" }
  }

  doors = { # by the host's name; customers reach their signed links alone
    api       = { priority = 10, to = "api", host = var.hosts.api, paths = ["/*"] }
    customers = { priority = 20, to = "api", host = var.hosts.customers, paths = ["/me/*"] }
    dashboard = { priority = 30, to = "dashboard", host = var.hosts.dashboard, paths = ["/*"] }
  }
}

# No access log: it would keep customers' signed links. The API writes its own audit log, into the home.
resource "aws_lb" "front" {
  name                       = local.name
  internal                   = true
  load_balancer_type         = "application"
  subnets                    = aws_subnet.private[*].id
  security_groups            = [aws_security_group.of["balancer"].id]
  drop_invalid_header_fields = true
  enable_deletion_protection = true
  idle_timeout               = 3600 # pages stay connected
}

resource "aws_lb_target_group" "of" {
  for_each    = local.served
  name        = "${local.name}-${each.key}"
  vpc_id      = aws_vpc.platform.id
  target_type = "ip"
  port        = each.value.port
  protocol    = "HTTP" # TLS ends at the load balancer: neither process speaks it

  health_check {
    path                = each.value.health
    interval            = 15
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 4
  }

  stickiness { # a reader's session lives in one process of the dashboard
    type    = "lb_cookie"
    enabled = each.key == "dashboard"
  }
}

resource "aws_lb_listener" "tls" {
  load_balancer_arn = aws_lb.front.arn
  port              = 443
  protocol          = "HTTPS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = var.certificate_arn

  default_action {
    type = "fixed-response"

    fixed_response {
      content_type = "text/plain"
      message_body = "no such host"
      status_code  = "404"
    }
  }
}

resource "aws_lb_listener_rule" "door" {
  for_each     = local.doors
  listener_arn = aws_lb_listener.tls.arn
  priority     = each.value.priority

  action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.of[each.value.to].arn
  }

  condition {
    host_header {
      values = [each.value.host]
    }
  }

  condition {
    path_pattern {
      values = each.value.paths
    }
  }
}
