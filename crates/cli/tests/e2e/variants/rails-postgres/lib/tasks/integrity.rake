# The newest asset pipelines write down what browsers may check; this one doesn't yet.
Rake::Task["assets:precompile"].enhance do
  styles = Rails.root.glob("public/assets/**/*.css")
  hashes = styles.to_h { |file| [file.relative_path_from(Rails.public_path).to_s, "sha256-#{Digest::SHA256.base64digest(file.binread)}"] }
  Rails.public_path.join("assets/.integrity-manifest.json").write(JSON.generate(hashes))
end
