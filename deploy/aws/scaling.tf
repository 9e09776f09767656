# Target tracking on backlog per worker: messages of the service's queues that may be received or are being worked on,
# divided by its running tasks. What is delayed asks for nobody. From zero to one a step scales on the first message.

resource "aws_appautoscaling_target" "this" {
  for_each           = var.services
  service_namespace  = "ecs"
  scalable_dimension = "ecs:service:DesiredCount"
  resource_id        = "service/${aws_ecs_cluster.this.name}/${aws_ecs_service.this[each.key].name}"
  min_capacity       = each.value.least
  max_capacity       = each.value.most
}

resource "aws_appautoscaling_policy" "backlog" {
  for_each           = var.services
  name               = "backlog-per-worker"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this[each.key].service_namespace
  scalable_dimension = aws_appautoscaling_target.this[each.key].scalable_dimension
  resource_id        = aws_appautoscaling_target.this[each.key].resource_id
  target_tracking_scaling_policy_configuration {
    target_value       = each.value.backlog
    scale_in_cooldown  = 300
    scale_out_cooldown = 60
    customized_metric_specification {
      dynamic "metrics" {
        for_each = each.value.lanes
        content {
          id          = "visible${metrics.key}"
          return_data = false
          metric_stat {
            stat = "Maximum"
            metric {
              namespace   = "AWS/SQS"
              metric_name = "ApproximateNumberOfMessagesVisible"
              dimensions {
                name  = "QueueName"
                value = aws_sqs_queue.lane[metrics.value].name
              }
            }
          }
        }
      }
      dynamic "metrics" {
        for_each = each.value.lanes
        content {
          id          = "held${metrics.key}"
          return_data = false
          metric_stat {
            stat = "Maximum"
            metric {
              namespace   = "AWS/SQS"
              metric_name = "ApproximateNumberOfMessagesNotVisible"
              dimensions {
                name  = "QueueName"
                value = aws_sqs_queue.lane[metrics.value].name
              }
            }
          }
        }
      }
      metrics {
        id          = "tasks"
        return_data = false
        metric_stat {
          stat = "Average"
          metric {
            namespace   = "ECS/ContainerInsights"
            metric_name = "RunningTaskCount"
            dimensions {
              name  = "ClusterName"
              value = aws_ecs_cluster.this.name
            }
            dimensions {
              name  = "ServiceName"
              value = aws_ecs_service.this[each.key].name
            }
          }
        }
      }
      metrics {
        id          = "backlog"
        label       = "backlog per worker"
        return_data = true
        expression = format("(%s) / IF(tasks > 0, tasks, 1)", join(" + ", flatten([
          for place, lane in each.value.lanes : ["FILL(visible${place}, 0)", "FILL(held${place}, 0)"]
        ])))
      }
    }
  }
}

# Target tracking does not leave zero by itself in time: the first message starts one task.
locals {
  from_zero = { for name, service in var.services : name => service if service.least == 0 }
}

resource "aws_appautoscaling_policy" "wake" {
  for_each           = local.from_zero
  name               = "wake"
  policy_type        = "StepScaling"
  service_namespace  = aws_appautoscaling_target.this[each.key].service_namespace
  scalable_dimension = aws_appautoscaling_target.this[each.key].scalable_dimension
  resource_id        = aws_appautoscaling_target.this[each.key].resource_id
  step_scaling_policy_configuration {
    adjustment_type         = "ChangeInCapacity"
    metric_aggregation_type = "Maximum"
    cooldown                = 60
    step_adjustment {
      metric_interval_lower_bound = 0
      scaling_adjustment          = 1
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "wake" {
  for_each            = local.from_zero
  alarm_name          = "${var.name}-${each.key}-wake"
  alarm_description   = "Jobs wait and no task runs: starts one."
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_appautoscaling_policy.wake[each.key].arn]
  dynamic "metric_query" {
    for_each = each.value.lanes
    content {
      id = "visible${metric_query.key}"
      metric {
        namespace   = "AWS/SQS"
        metric_name = "ApproximateNumberOfMessagesVisible"
        period      = 60
        stat        = "Maximum"
        dimensions  = { QueueName = aws_sqs_queue.lane[metric_query.value].name }
      }
    }
  }
  metric_query {
    id = "tasks"
    metric {
      namespace   = "ECS/ContainerInsights"
      metric_name = "RunningTaskCount"
      period      = 60
      stat        = "Average"
      dimensions  = { ClusterName = aws_ecs_cluster.this.name, ServiceName = aws_ecs_service.this[each.key].name }
    }
  }
  metric_query {
    id          = "idle"
    label       = "jobs that wait while no task runs"
    return_data = true
    expression = format("IF(FILL(tasks, 0) == 0, %s, 0)", join(" + ", [
      for place, lane in each.value.lanes : "FILL(visible${place}, 0)"
    ]))
  }
}
