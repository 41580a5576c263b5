import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Set;
import javax.security.auth.callback.Callback;
import javax.security.auth.callback.UnsupportedCallbackException;
import javax.security.auth.login.AppConfigurationEntry;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import org.apache.kafka.common.security.auth.AuthenticateCallbackHandler;
import org.apache.kafka.common.security.oauthbearer.OAuthBearerToken;
import org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallback;

/** What a broker of Google's does with a token: takes its third part, and asks who issued it. */
public class TokenInfo implements AuthenticateCallbackHandler {
    record Token(String value, Set<String> scope, long lifetimeMs, String principalName, Long startTimeMs)
            implements OAuthBearerToken {}

    private static final ObjectMapper JSON = new ObjectMapper();
    private String endpoint;

    @Override
    public void configure(Map<String, ?> configs, String mechanism, List<AppConfigurationEntry> jaas) {
        endpoint = (String) jaas.get(0).getOptions().get("endpoint");
    }

    @Override
    public void handle(Callback[] callbacks) throws IOException, UnsupportedCallbackException {
        for (Callback callback : callbacks) {
            if (callback instanceof OAuthBearerValidatorCallback asked) {
                validate(asked);
            }
        }
    }

    private void validate(OAuthBearerValidatorCallback asked) throws IOException {
        String[] parts = asked.tokenValue().split("\\.");
        JsonNode header = JSON.readTree(decoded(parts[0]));
        JsonNode claims = JSON.readTree(decoded(parts[1]));
        String access = new String(decoded(parts[2]), StandardCharsets.UTF_8);
        long ends = claims.get("exp").asLong() * 1000;
        if (!"GOOG_OAUTH2_TOKEN".equals(header.get("alg").asText()) || ends < System.currentTimeMillis()
                || !isIssued(access)) {
            asked.error("invalid_token", null, null);
            return;
        }
        asked.token(new Token(asked.tokenValue(), Set.of(claims.get("scope").asText()), ends,
            claims.get("sub").asText(), claims.get("iat").asLong() * 1000));
    }

    private boolean isIssued(String access) throws IOException {
        try {
            var request = HttpRequest.newBuilder(URI.create(endpoint + "?access_token=" + access)).build();
            return HttpClient.newHttpClient().send(request, BodyHandlers.discarding()).statusCode() == 200;
        } catch (InterruptedException error) {
            throw new IOException(error);
        }
    }

    private static byte[] decoded(String part) {
        return Base64.getUrlDecoder().decode(part);
    }

    @Override
    public void close() {}
}
