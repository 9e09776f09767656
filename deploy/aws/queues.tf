# One queue for each lane, as `flotilla migrate` makes them. They have no redrive policy: it would take away messages of
# jobs that wait or are retried. Dead letters are records, in DynamoDB. What SNS cannot deliver has a queue of its own.

resource "aws_sqs_queue" "lane" {
  for_each                          = local.lanes
  name                              = "${var.name}-${replace(each.value, ".", "_DOT_")}"
  message_retention_seconds         = 1209600
  visibility_timeout_seconds        = 30
  max_message_size                  = 1048576
  receive_wait_time_seconds         = 20
  kms_master_key_id                 = aws_kms_key.this.arn
  kms_data_key_reuse_period_seconds = 3600
}

data "aws_iam_policy_document" "lane" {
  for_each = local.lanes
  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["sqs:*"]
    resources = [aws_sqs_queue.lane[each.value].arn]
    principals {
      type        = "*"
      identifiers = ["*"]
    }
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
  dynamic "statement" {
    for_each = each.value == var.topic_lane ? [1] : []
    content {
      sid       = "Topic"
      actions   = ["sqs:SendMessage"]
      resources = [aws_sqs_queue.lane[each.value].arn]
      principals {
        type        = "Service"
        identifiers = ["sns.amazonaws.com"]
      }
      condition {
        test     = "ArnEquals"
        variable = "aws:SourceArn"
        values   = [aws_sns_topic.in.arn]
      }
    }
  }
}

resource "aws_sqs_queue_policy" "lane" {
  for_each  = local.lanes
  queue_url = aws_sqs_queue.lane[each.value].id
  policy    = data.aws_iam_policy_document.lane[each.value].json
}

# Others publish here; a [[route]] on the lane says which jobs their notifications are.
resource "aws_sns_topic" "in" {
  name              = "${var.name}-in"
  kms_master_key_id = aws_kms_key.this.arn
}

resource "aws_sns_topic_subscription" "in" {
  topic_arn            = aws_sns_topic.in.arn
  protocol             = "sqs"
  endpoint             = aws_sqs_queue.lane[var.topic_lane].arn
  raw_message_delivery = false
  redrive_policy       = jsonencode({ deadLetterTargetArn = aws_sqs_queue.undelivered.arn })
}

# What SNS could not put into the lane's queue; the alarm "undelivered" tells, the runbook says how to put it back.
resource "aws_sqs_queue" "undelivered" {
  name                      = "${var.name}-in-undelivered"
  message_retention_seconds = 1209600
  kms_master_key_id         = aws_kms_key.this.arn
}

data "aws_iam_policy_document" "undelivered" {
  statement {
    sid       = "Topic"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.undelivered.arn]
    principals {
      type        = "Service"
      identifiers = ["sns.amazonaws.com"]
    }
    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [aws_sns_topic.in.arn]
    }
  }
}

resource "aws_sqs_queue_policy" "undelivered" {
  queue_url = aws_sqs_queue.undelivered.id
  policy    = data.aws_iam_policy_document.undelivered.json
}
