FROM {{ jdk }} AS build
WORKDIR /src
COPY . .
{% for command in commands %}
{{ command }}
{% endfor %}
RUN --mount=type=cache,{{ cache }} {{ command }}
# The one archive that runs. An older Spring Boot can't take itself apart, and is run whole; where it doesn't know the
# question, it would begin to serve.
RUN archive="$(ls {{ output }}/*.jar {{ output }}/*.war 2>/dev/null | grep -v -e '-plain\.jar$' -e '-sources\.jar$' -e '-javadoc\.jar$' | head -n 1)" \
    && { [ -n "$archive" ] || { echo "the build left no archive in {{ output }}: with root in preview-config.yml the module that is the app is named"; exit 1; }; } \
    && cp "$archive" /app.jar \
    && { timeout 60 java -Djarmode=tools -jar /app.jar extract --layers --destination /layers \
        || { rm -rf /layers && mkdir -p /layers/application && cp /app.jar /layers/application/; }; } \
    && mkdir -p /layers/dependencies /layers/spring-boot-loader /layers/snapshot-dependencies

FROM {{ jre }}
# Half of what the container may use is for objects; classes, code and threads take most of the rest. To start soon comes
# before the last bit of speed.
ENV PORT={{ port }} SERVER_PORT={{ port }} SERVER_FORWARD_HEADERS_STRATEGY=framework HOME=/tmp \
    JAVA_TOOL_OPTIONS="-XX:MaxRAMPercentage=50 -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:+ExitOnOutOfMemoryError"
WORKDIR /app
# What changes seldom comes first.
COPY --from=build /layers/dependencies/ ./
COPY --from=build /layers/spring-boot-loader/ ./
COPY --from=build /layers/snapshot-dependencies/ ./
COPY --from=build /layers/application/ ./
USER 10001:10001
EXPOSE {{ port }}
CMD ["java","-jar","app.jar"]
