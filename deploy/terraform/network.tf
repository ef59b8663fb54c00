# Three private subnets, no way to the internet and none from it: AWS's services are reached by endpoints, people come by
# the bank's transit gateway. `local.ways` is the whole list of who may open a connection to whom.

resource "aws_vpc" "platform" {
  cidr_block           = var.network
  enable_dns_support   = true
  enable_dns_hostnames = true
  tags                 = { Name = local.name }
}

resource "aws_subnet" "private" {
  count                   = 3
  vpc_id                  = aws_vpc.platform.id
  availability_zone       = var.zones[count.index]
  cidr_block              = cidrsubnet(var.network, 24 - tonumber(split("/", var.network)[1]), count.index)
  map_public_ip_on_launch = false
  tags                    = { Name = "${local.name}-${count.index}" }
}

resource "aws_ec2_transit_gateway_vpc_attachment" "bank" {
  transit_gateway_id = var.transit_gateway_id
  vpc_id             = aws_vpc.platform.id
  subnet_ids         = aws_subnet.private[*].id
}

resource "aws_route_table" "private" {
  vpc_id = aws_vpc.platform.id
  tags   = { Name = local.name }
}

resource "aws_route_table_association" "private" {
  count          = 3
  subnet_id      = aws_subnet.private[count.index].id
  route_table_id = aws_route_table.private.id
}

resource "aws_route" "bank" {
  for_each               = toset(concat(var.client_networks, var.producer_networks))
  route_table_id         = aws_route_table.private.id
  destination_cidr_block = each.value
  transit_gateway_id     = aws_ec2_transit_gateway_vpc_attachment.bank.transit_gateway_id
}

# ------------------------------------------------------------------------------------------------------- endpoints

resource "aws_vpc_endpoint" "s3" {
  vpc_id            = aws_vpc.platform.id
  service_name      = "com.amazonaws.${var.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = [aws_route_table.private.id]
}

resource "aws_vpc_endpoint" "service" { # what the machine's agents, image pulls and log drivers speak to
  for_each = toset([
    "ecr.api", "ecr.dkr", "ecs", "ecs-agent", "ecs-telemetry", "logs", "secretsmanager", "ssm", "ssmmessages",
  ])
  vpc_id              = aws_vpc.platform.id
  service_name        = "com.amazonaws.${var.region}.${each.value}"
  vpc_endpoint_type   = "Interface"
  subnet_ids          = aws_subnet.private[*].id
  security_group_ids  = [aws_security_group.of["endpoints"].id]
  private_dns_enabled = true
}

# ------------------------------------------------------------------------------------------------------- who to whom

locals {
  groups = {
    balancer  = "Load balancer of API and dashboard"
    serving   = "Task of API and dashboard"
    dagster   = "Task of Dagster, its code servers, MLflow and reports"
    machine   = "The EC2 machine itself, with operators' sessions"
    database  = "PostgreSQL"
    kafka     = "Kafka's brokers"
    endpoints = "Endpoints of AWS's services"
  }

  ways = {
    api               = { from = "balancer", to = "serving", port = 8000 }
    dashboard         = { from = "balancer", to = "serving", port = 8501 }
    dagster_database  = { from = "dagster", to = "database", port = 5432 }
    dagster_kafka     = { from = "dagster", to = "kafka", port = 9096 }
    machine_endpoints = { from = "machine", to = "endpoints", port = 443 }
    # Forwarded to operators by Session Manager: these ask nobody who he is, so nothing else leads there.
    operators_dagster  = { from = "machine", to = "dagster", port = 3000 }
    operators_mlflow   = { from = "machine", to = "dagster", port = 5000 }
    operators_reports  = { from = "machine", to = "dagster", port = 8010 }
    operators_database = { from = "machine", to = "database", port = 5432 }
  }
}

resource "aws_security_group" "of" {
  for_each    = local.groups
  name        = "${local.name}-${each.key}"
  description = each.value
  vpc_id      = aws_vpc.platform.id
  tags        = { Name = "${local.name}-${each.key}" }
}

resource "aws_default_security_group" "closed" { # without rules: what names no group of its own reaches nothing
  vpc_id = aws_vpc.platform.id
}

resource "aws_vpc_security_group_egress_rule" "way" {
  for_each                     = local.ways
  description                  = each.key
  security_group_id            = aws_security_group.of[each.value.from].id
  referenced_security_group_id = aws_security_group.of[each.value.to].id
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
}

resource "aws_vpc_security_group_ingress_rule" "way" {
  for_each                     = local.ways
  description                  = each.key
  security_group_id            = aws_security_group.of[each.value.to].id
  referenced_security_group_id = aws_security_group.of[each.value.from].id
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
}

resource "aws_vpc_security_group_ingress_rule" "clients" {
  for_each          = toset(var.client_networks)
  description       = "People and systems of the bank, by TLS"
  security_group_id = aws_security_group.of["balancer"].id
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_ingress_rule" "producers" {
  for_each          = toset(var.producer_networks)
  description       = "Systems that send events, by TLS with a password"
  security_group_id = aws_security_group.of["kafka"].id
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = 9096
  to_port           = 9096
}

resource "aws_vpc_security_group_egress_rule" "s3" { # the lake, and for the machine the layers of images
  for_each          = toset(["serving", "dagster", "machine"])
  description       = "S3 through its endpoint"
  security_group_id = aws_security_group.of[each.value].id
  prefix_list_id    = aws_vpc_endpoint.s3.prefix_list_id
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

# ------------------------------------------------------------------------------------------------------- flow log

resource "aws_flow_log" "platform" {
  vpc_id          = aws_vpc.platform.id
  traffic_type    = "ALL"
  log_destination = aws_cloudwatch_log_group.of["network"].arn
  iam_role_arn    = aws_iam_role.of["flow-log"].arn
}
