"""The image registry on ECR: images, pushes and vulnerability scans."""
