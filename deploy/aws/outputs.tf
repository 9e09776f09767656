output "topic" {
  description = "Where others publish."
  value       = aws_sns_topic.in.arn
}

output "bucket" {
  description = "Where blobs lie."
  value       = aws_s3_bucket.blobs.id
}

output "worker_role" {
  description = "What a worker may do; an overlay for EKS names it at its ServiceAccount."
  value       = aws_iam_role.worker.arn
}

output "queues" {
  description = "The queues of the lanes."
  value       = { for lane, queue in aws_sqs_queue.lane : lane => queue.url }
}
