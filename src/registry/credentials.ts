/** What a registry asks for. `identityToken` is a refresh token of the registry's token service; `registryToken` a bearer token itself. */
export type Credentials =
  | { readonly kind: "password"; readonly username: string; readonly password: string }
  | { readonly kind: "identity-token"; readonly identityToken: string }
  | { readonly kind: "registry-token"; readonly registryToken: string };

/** Looks up the credentials of a registry by its host (`docker.io`, `localhost:5000`); undefined means anonymous. */
export type CredentialsProvider = (registryHost: string) => Promise<Credentials | undefined>;
