# syntax=docker/dockerfile:1
FROM mcr.microsoft.com/dotnet/sdk:10.0 AS build
WORKDIR /source
COPY global.json Directory.Build.props Directory.Packages.props ./
COPY src/ConsentLedger/ConsentLedger.csproj src/ConsentLedger/
RUN dotnet restore src/ConsentLedger
COPY .editorconfig ./
COPY sql sql
COPY clients/web clients/web
COPY src src
RUN dotnet publish src/ConsentLedger --no-restore --configuration Release --output /app \
    && mkdir -p /data

# The same with PostgreSQL's client programs, which back-ups need (see compose.yaml): docker build --target tools
FROM mcr.microsoft.com/dotnet/aspnet:10.0-noble AS tools
RUN apt-get update \
    && apt-get install --yes --no-install-recommends postgresql-client-16 \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY --from=build /app .
COPY --from=build --chown=$APP_UID:$APP_UID /data /data
ENV ConsentLedger__DataDirectory=/data
VOLUME /data
USER $APP_UID
ENTRYPOINT ["/app/consentledger"]

# Chiselled: no shell, no package manager. "extra" brings ICU: the ids of international addresses depend on it.
FROM mcr.microsoft.com/dotnet/aspnet:10.0-noble-chiseled-extra
WORKDIR /app
COPY --from=build /app .
COPY --from=build --chown=$APP_UID:$APP_UID /data /data
ENV ASPNETCORE_HTTP_PORTS=8080 \
    ConsentLedger__DataDirectory=/data
EXPOSE 8080
VOLUME /data
USER $APP_UID
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["/app/consentledger", "health"]
ENTRYPOINT ["/app/consentledger"]
