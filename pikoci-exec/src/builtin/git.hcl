resource_type "git" {
  params = ["url"]
}
