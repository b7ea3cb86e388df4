output "arn" {
  description = "ARN of the topic."
  value       = aws_sns_topic.main.arn

  # Nobody is sent here before the topic lets them publish.
  depends_on = [aws_sns_topic_policy.main]
}
