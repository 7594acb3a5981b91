"""What one deploys with: files for Compose, Kubernetes, systemd, Prometheus and Grafana."""
