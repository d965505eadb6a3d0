module IntegrityHelper
  HASHES = JSON.parse(Rails.public_path.join("assets/.integrity-manifest.json").read)

  # A link to a style sheet that the browser checks.
  def checked_stylesheet(name)
    path = stylesheet_path(name)
    tag.link rel: "stylesheet", href: path, integrity: HASHES.fetch(path[%r{assets/.+}])
  end
end
