# One service for each entry of var.services. A deploy starts new tasks, waits until they are healthy, then drains old ones.

resource "aws_ecs_cluster" "this" {
  name = var.name
  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

resource "aws_cloudwatch_log_group" "this" {
  for_each          = var.services
  name              = "/${var.name}/${each.key}"
  retention_in_days = var.log_days
  kms_key_id        = aws_kms_key.this.arn
}

# Nothing comes in; the admin port is reached by what runs in the same group.
resource "aws_security_group" "tasks" {
  name        = "${var.name}-tasks"
  description = "Workers: the admin port among themselves, TLS to the outside"
  vpc_id      = var.vpc_id
  ingress {
    description = "admin"
    from_port   = 9464
    to_port     = 9464
    protocol    = "tcp"
    self        = true
  }
  egress {
    description = "TLS"
    from_port   = 443
    to_port     = 443
    protocol    = "tcp"
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_ecs_task_definition" "this" {
  for_each                 = var.services
  family                   = "${var.name}-${each.key}"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = each.value.cpu
  memory                   = each.value.memory
  task_role_arn            = aws_iam_role.worker.arn
  execution_role_arn       = aws_iam_role.start.arn
  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = "ARM64"
  }
  volume {
    name = "data"
  }
  volume {
    name = "temporary"
  }
  container_definitions = jsonencode([{
    name                   = "worker"
    image                  = each.value.media ? var.media_image : var.image
    essential              = true
    user                   = "65532:65532"
    readonlyRootFilesystem = true
    command                = ["worker", "--lanes", join(",", each.value.lanes)]
    # SIGTERM drains; SIGKILL after the grace of the drain and a margin. Fargate waits 120 s at most.
    stopTimeout = min(120, each.value.drain_grace + 10)
    environment = [for name, value in {
      FLOTILLA__QUEUE__BACKEND      = "sqs"
      FLOTILLA__QUEUE__PREFIX       = var.name
      FLOTILLA__QUEUE__LEASE        = "30s"
      FLOTILLA__QUEUE__HEARTBEAT    = "10s"
      FLOTILLA__WORKER__DRAIN_GRACE = "${each.value.drain_grace}s"
      FLOTILLA__BLOBS__BACKEND      = "s3"
      FLOTILLA__BLOBS__BUCKET       = local.bucket
      FLOTILLA__BLOBS__ENCRYPTION   = "kms"
      FLOTILLA__BLOBS__KMS_KEY      = aws_kms_key.this.arn
      FLOTILLA__AWS__REGION         = local.region
      FLOTILLA__ADMIN__LISTEN       = "0.0.0.0:9464"
      FLOTILLA__LOG__FORMAT         = "json"
    } : { name = name, value = value }]
    secrets = [
      { name = "FLOTILLA__ADMIN__TOKEN", valueFrom = var.secrets.admin_token },
      { name = "FLOTILLA__VAULT__KEYS", valueFrom = var.secrets.vault_keys },
    ]
    portMappings = [{ containerPort = 9464, protocol = "tcp" }]
    mountPoints = [
      { sourceVolume = "data", containerPath = "/var/lib/flotilla" },
      { sourceVolume = "temporary", containerPath = "/tmp" },
    ]
    healthCheck = {
      command     = ["CMD", "/usr/local/bin/flotilla", "probe"]
      interval    = 10
      timeout     = 6
      retries     = 3
      startPeriod = 30
    }
    linuxParameters = { initProcessEnabled = true, capabilities = { drop = ["ALL"] } }
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.this[each.key].name
        awslogs-region        = local.region
        awslogs-stream-prefix = "worker"
      }
    }
  }])
}

resource "aws_ecs_service" "this" {
  for_each                           = var.services
  name                               = each.key
  cluster                            = aws_ecs_cluster.this.id
  task_definition                    = aws_ecs_task_definition.this[each.key].arn
  launch_type                        = "FARGATE"
  desired_count                      = max(each.value.least, 1)
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  propagate_tags                     = "SERVICE"
  enable_ecs_managed_tags            = true
  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }
  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = [aws_security_group.tasks.id]
    assign_public_ip = false
  }
  lifecycle {
    ignore_changes = [desired_count] # the autoscaler's
  }
}
