# What gems of the usual databases link to. No repository's code is in this stage, so all that use this Ruby share it.
FROM {{ ruby }} AS base
RUN apt-get update \
    && apt-get install -y --no-install-recommends libpq5 libmariadb3 libsqlite3-0 libyaml-0-2 tzdata{{ " libvips42" if vips }} \
    && rm -rf /var/lib/apt/lists/*
# One process with threads: each further one costs memory that a preview doesn't have.
ENV RAILS_ENV=production RACK_ENV=production RAILS_LOG_TO_STDOUT=1 RAILS_SERVE_STATIC_FILES=1 WEB_CONCURRENCY=0 \
    MALLOC_ARENA_MAX=2 BUNDLE_PATH=/usr/local/bundle BUNDLE_WITHOUT=development:test{{ " BUNDLE_DEPLOYMENT=1" if locked }}
WORKDIR /app

FROM base AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends build-essential git pkg-config libpq-dev libmariadb-dev libsqlite3-dev libyaml-dev \
    && rm -rf /var/lib/apt/lists/*
{% if assets %}
COPY --from={{ node }} /usr/local /opt/node
ENV PATH=$PATH:/opt/node/bin {{ assets.env }}
{% if webpacker %}
# Its webpack 4 asks for a hash that OpenSSL 3 has put away.
ENV NODE_OPTIONS=--openssl-legacy-provider
{% endif %}
{% if assets.tool %}
RUN --mount=type=cache,id=npm,target=/root/.npm npm install --global --force {{ assets.tool }}
{% endif %}
{% endif %}
{% if sources_first %}
COPY . .
{% else %}
COPY {{ manifests | join(" ") }} ./
{% endif %}
RUN --mount=type=cache,id=bundler,target=/bundler-cache \
    BUNDLE_USER_CACHE=/bundler-cache BUNDLE_GLOBAL_GEM_CACHE=true bundle install --jobs 4 --retry 3 \
    && rm -rf /usr/local/bundle/ruby/*/cache
{% if assets %}
{% for manifest in assets.manifests %}
COPY {{ manifest }}
{% endfor %}
RUN --mount=type=cache,{{ assets.cache }} {{ assets.install }}
{% endif %}
COPY . .
{% for command in commands %}
{{ command }}
{% endfor %}
{% if precompile %}
# No secret is at hand while an image is built, and none is needed to translate assets. Nor is the path at which the preview will be found:
# a word stands in its place until the container starts, in the files that are listed. What they were compressed to would keep it.
RUN SECRET_KEY_BASE_DUMMY=1 SECRET_KEY_BASE=dummy RAILS_RELATIVE_URL_ROOT=/__preview_base_path__ bundle exec rails assets:precompile{{ " && rm -rf node_modules" if assets }} \
    && { grep -rlF /__preview_base_path__ public || true; } > /usr/local/lib/preview-assets \
    && while read -r file; do rm -f "$file.gz" "$file.br" "$file.zst"; done < /usr/local/lib/preview-assets
{% endif %}
RUN mkdir -p db log storage tmp

FROM base
# Read by every Ruby, so that migrations and consoles have it too. It loads no library: that might be another version than the project's.
RUN printf '%s\n' \
        '# Made of what this preview alone knows, so that sessions outlive an update; else for this container.' \
        'if ENV["SECRET_KEY_BASE"].to_s.empty?' \
        '  password = ENV["DB_PASSWORD"] || Random.urandom(32).unpack1("H*")' \
        '  ENV["SECRET_KEY_BASE"] = IO.popen("sha512sum", "r+") do |sum|' \
        '    sum.write("SECRET_KEY_BASE", password)' \
        '    sum.close_write' \
        '    sum.read(128)' \
        '  end' \
        'end' \
        '# Requests come without the path of the preview; Puma hands SCRIPT_NAME on, with which links are written.' \
        'path = ENV["PREVIEW_BASE_PATH"].to_s.chomp("/")' \
        '%w[SCRIPT_NAME RAILS_RELATIVE_URL_ROOT].each { |name| ENV[name] ||= path } unless path.empty?' \
{% if databases %}
        '# Databases that Rails keeps apart, on the same server.' \
        'main = ENV["DATABASE_URL"].to_s' \
        '%w[{{ databases | join(" ") }}].each do |name|' \
        '  ENV["#{name.upcase}_DATABASE_URL"] ||= main.sub(/(?=\?|\z)/, "_#{name}") unless main.empty?' \
        'end' \
{% endif %}
        > /usr/local/lib/preview.rb
{% if precompile %}
# What the assets name is below the preview's path, which a container knows and the image doesn't: style sheets in any folder, scripts, and
# with them the hashes by which pages have browsers check them.
RUN printf '%s\n' \
        '#!/usr/bin/env -S ruby --disable=gems' \
        'require "digest"' \
        'path = ENV["RAILS_RELATIVE_URL_ROOT"].to_s' \
        'kinds = [Digest::SHA256, Digest::SHA384, Digest::SHA512]' \
        'hashes = {}' \
        'files = File.readlines("/usr/local/lib/preview-assets", chomp: true).to_h do |file|' \
        '  translated = File.binread(file)' \
        '  placed = translated.gsub("/__preview_base_path__") { path }' \
        '  kinds.each { |kind| hashes[kind.base64digest(translated)] = kind.base64digest(placed) }' \
        '  [file, placed]' \
        'end' \
        '# A manifest, which tells the hashes, may be one of the files. It is written first: who is killed in between begins again.' \
        'Dir.glob("public/**/*manifest*.json", File::FNM_DOTMATCH).each do |file|' \
        '  files[file] = (files[file] || File.binread(file)).gsub(Regexp.union(hashes.keys), hashes)' \
        'end' \
        'files.reverse_each { |file, text| File.binwrite(file, text) }' \
        'exec(*ARGV)' \
        > /usr/local/bin/preview-assets \
    && chmod 0755 /usr/local/bin/preview-assets
{% endif %}
ENV PORT={{ port }} HOME=/tmp RUBYOPT=-r/usr/local/lib/preview.rb
COPY --from=build /usr/local/bundle /usr/local/bundle
COPY --from=build --chown=10001:10001 /app ./
{% if precompile %}
COPY --from=build /usr/local/lib/preview-assets /usr/local/lib/preview-assets
ENTRYPOINT ["preview-assets"]
{% endif %}
USER 10001:10001
EXPOSE {{ port }}
CMD ["bundle","exec","rails","server","--binding","0.0.0.0","--port","{{ port }}","--pid","/tmp/server.pid"]
